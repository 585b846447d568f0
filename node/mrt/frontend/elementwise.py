"""Operators of single elements, and sums and products."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from node.mrt.frontend.node import Node
from node.mrt.frontend.reader import Reader, converts
from node.mrt.layers import (
    Add,
    Affine,
    Clip,
    Doubles,
    Elementwise,
    Floats,
    Function,
    Layer,
    Multiply,
    Rectify,
    Slope,
)


@converts("Relu")
def read_relu(reader: Reader, node: Node) -> Iterable[Layer]:
    yield Rectify(*reader.base(node))


@converts("Clip")
def read_clip(reader: Reader, node: Node) -> Iterable[Layer]:
    bounds = []
    for index, name, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        bound = float(node.get(name, default))
        if node.has_input(index):
            bound = float(reader.constant(node, index).reshape(()))
        bounds.append(bound)
    yield Clip(*reader.base(node), bounds[0], bounds[1])


@converts("PRelu")
def read_slope(reader: Reader, node: Node) -> Iterable[Layer]:
    slope = _align(reader.constant(node, 1), len(reader.output_shape(node)))
    yield Slope(*reader.base(node), slope)


def _align(value: Floats, rank: int) -> Floats:
    """With ones in front, up to a rank."""
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


# --- two operands


@converts("Add", "Sub", "Mul", "Div", "Pow", "Sum")
def read_binary(reader: Reader, node: Node) -> Iterable[Layer]:
    node.require(len(node.inputs) == 2, f"of {len(node.inputs)} operands is not supported")
    constants = [index for index in (0, 1) if reader.is_constant(node, index)]
    node.require(len(constants) < 2, "of two constants is not supported")
    if constants:
        yield _read_with_constant(reader, node, constants[0])
        return
    base = reader.base(node, *node.inputs)
    if node.operator in ("Add", "Sum", "Sub"):
        yield Add(*base, (1, -1 if node.operator == "Sub" else 1))
        return
    node.require(node.operator == "Mul", "of two computed values is not supported")
    yield Multiply(*base)


def _read_with_constant(reader: Reader, node: Node, place: int) -> Layer:
    shape = reader.output_shape(node)
    value = _align(reader.constant(node, place), len(shape))
    other = node.inputs[1 - place]
    node.require(reader.shape(node, other) == shape, "that broadcasts a value is not supported")
    base = node.outputs[0], (other,), shape
    zero, one = np.zeros((1,) * len(shape), np.float32), np.ones((1,) * len(shape), np.float32)
    if node.operator in ("Add", "Sum"):
        return Affine(*base, one, value)
    if node.operator == "Sub":
        return Affine(*base, -one, value) if place == 0 else Affine(*base, one, -value)
    if node.operator == "Mul":
        return Affine(*base, value, zero)
    if node.operator == "Div" and place == 1:
        node.require(bool(np.all(value != 0)), "by zero is not supported")
        return Affine(*base, np.float32(1) / value, zero)
    node.require(value.size == 1, "with a constant of several elements is not supported")
    return Function(*base, _power_or_quotient(node, place, float(value.reshape(()))), node.operator)


def _power_or_quotient(node: Node, place: int, constant: float) -> Elementwise:
    if node.operator == "Div":
        return lambda x: constant / x
    if place == 0:
        return lambda x: np.power(constant, x)
    return lambda x: np.power(x, constant)


# --- one operand

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Doubles) -> Doubles:
    result: Doubles = 0.5 * (1.0 + np.tanh(0.5 * x))
    return result


def _softplus(x: Doubles) -> Doubles:
    result: Doubles = np.logaddexp(0.0, x)
    return result


def _leaky(node: Node) -> Elementwise:
    alpha = float(node.get("alpha", 0.01))
    return lambda x: np.where(x < 0, alpha * x, x)


def _elu(node: Node) -> Elementwise:
    alpha = float(node.get("alpha", 1.0))
    return lambda x: np.where(x < 0, alpha * np.expm1(x), x)


def _selu(node: Node) -> Elementwise:
    alpha = float(node.get("alpha", 1.67326319217681884765625))
    gamma = float(node.get("gamma", 1.05070102214813232421875))
    return lambda x: gamma * np.where(x < 0, alpha * np.expm1(x), x)


def _hard_sigmoid(node: Node) -> Elementwise:
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    return lambda x: np.clip(alpha * x + beta, 0.0, 1.0)


def _gelu(node: Node) -> Elementwise:
    if node.get("approximate", b"none") == b"tanh":
        factor = np.sqrt(2 / np.pi)
        return lambda x: 0.5 * x * (1 + np.tanh(factor * (x + 0.044715 * x**3)))
    return lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2)))


def _plain(function: Elementwise) -> Callable[[Node], Elementwise]:
    return lambda node: function


_FUNCTIONS: dict[str, Callable[[Node], Elementwise]] = {
    "Abs": _plain(np.abs),
    "Elu": _elu,
    "Erf": _plain(_erf),
    "Exp": _plain(np.exp),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0)),
    "LeakyRelu": _leaky,
    "Log": _plain(np.log),
    "Mish": _plain(lambda x: x * np.tanh(_softplus(x))),
    "Neg": _plain(np.negative),
    "Reciprocal": _plain(lambda x: 1.0 / x),
    "Selu": _selu,
    "Sigmoid": _plain(_sigmoid),
    "Softplus": _plain(_softplus),
    "Softsign": _plain(lambda x: x / (1 + np.abs(x))),
    "Sqrt": _plain(np.sqrt),
    "Swish": _plain(lambda x: x * _sigmoid(x)),
    "Tanh": _plain(np.tanh),
}


@converts(*_FUNCTIONS)
def read_function(reader: Reader, node: Node) -> Iterable[Layer]:
    yield Function(*reader.base(node), _FUNCTIONS[node.operator](node), node.operator)
