"""Damaged ONNX files are refused with an error that says so, or convert."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import onnx

from benchmarks.model_fuzz.damage import NUMBERS, damage_bytes
from node.mrt.conversion import Form, Settings, convert
from node.mrt.errors import MrtError
from node.mrt.frontend.reader import CONVERSIONS
from tests.node.mrt.test_mrt_operators import BOTH, CONSTANTS, EXTENSION
from tests.support.onnx_networks import write_onnx

CASES = 500
WHOLE = [each for each in NUMBERS if -(2**63) <= each < 2**63]


def damage_model(chance: random.Random, content: bytes) -> bytes:
    """One place changed: a node's input, attribute or operator, or a constant's shape or type."""
    model = onnx.load_from_string(content)
    node = chance.choice(model.graph.node)
    kind = chance.randrange(5)
    if kind == 0 and node.input:
        names = [name for each in model.graph.node for name in each.input]
        node.input[chance.randrange(len(node.input))] = chance.choice([*names, "", "absent"])
    elif kind == 1 and node.attribute:
        damage_attribute(chance, node)
    elif kind == 2 and model.graph.initializer:
        dims = chance.choice(model.graph.initializer).dims
        if dims:
            dims[chance.randrange(len(dims))] = chance.choice(WHOLE)
    elif kind == 3 and model.graph.initializer:
        constant = chance.choice(model.graph.initializer)
        constant.data_type = chance.choice(onnx.TensorProto.DataType.values())
    else:
        node.op_type = chance.choice(sorted(CONVERSIONS))
    return model.SerializeToString()


def damage_attribute(chance: random.Random, node: onnx.NodeProto) -> None:
    attribute = chance.choice(node.attribute)
    if attribute.ints:
        attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(WHOLE)
    elif attribute.HasField("i"):
        attribute.i = chance.choice(WHOLE)
    else:
        node.attribute.remove(attribute)


def test_damage_is_told_of():
    networks = [
        (write_onnx(nodes, CONSTANTS, shape, opset=opset), shape)
        for nodes, shape, opset in (BOTH | EXTENSION).values()
    ]
    outcomes: Counter[str] = Counter()
    for number in range(CASES):
        chance = random.Random(number)
        content, shape = chance.choice(networks)
        damaged = chance.choice((damage_bytes, damage_model))(chance, content)
        samples = np.random.default_rng(number).normal(0, 0.5, (4, *shape)).astype(np.float32)
        settings = Settings(form=chance.choice(list(Form)))
        try:
            convert(damaged, samples, settings=settings, judge=number % 4 == 0)
            outcomes["converted"] += 1
        except MrtError as error:
            outcomes[type(error).__name__] += 1
    assert set(outcomes) >= {"converted", "MalformedOnnx", "UnsupportedOperator"}
    assert outcomes["MalformedOnnx"] > CASES / 4
