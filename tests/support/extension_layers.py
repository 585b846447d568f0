"""Random models of a single extension operator, with awkward shapes and extreme values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.spec.cvm import Graph, load
from node.spec.cvm.writer import ModelWriter

Shape = tuple[int, ...]


@dataclass
class Layer:
    """One operator: the shape and precision of its data, its parameters, its attributes."""

    operator: str
    shape: Shape
    precision: int
    parameters: list[tuple[NDArray[Any], int]] = field(default_factory=list)
    attributes: dict[str, object] = field(default_factory=dict)

    def graph(self) -> Graph:
        return load(*self.files(), extended=True)

    def files(self) -> tuple[bytes, bytes]:
        """Symbol and parameters."""
        writer = ModelWriter(extended=True)
        entries = [writer.add_input(self.shape, self.precision)]
        for index, (values, precision) in enumerate(self.parameters):
            entries.append(writer.add_parameter(f"p{index}", values, precision))
        made = writer.add(self.operator, "op", entries, **self.attributes)
        return writer.finish([made])


def draw(random: Generator, shape: Shape, precision: int) -> NDArray[np.int32]:
    """Values of a precision: any, or none but the extremes, or few about 0."""
    limit = (1 << (precision - 1)) - 1
    kind = random.integers(3)
    if kind == 0:
        return random.choice(np.array([-limit, limit]), shape).astype(np.int32)
    if kind == 1:
        return random.integers(-min(limit, 2), min(limit, 2) + 1, shape).astype(np.int32)
    return random.integers(-limit, limit + 1, shape).astype(np.int32)


def _shape(random: Generator, dimensions: int, most: int = 7) -> Shape:
    return tuple(int(n) for n in random.integers(1, most + 1, dimensions))


def _numbers(random: Generator, count: int, low: int, high: int) -> Shape:
    return tuple(int(n) for n in random.integers(low, high + 1, count))


def _clip(random: Generator) -> dict[str, object]:
    low, high = sorted(random.choice([-(2**31) + 1, -128, -7, 0, 1, 127, 255, 2**31 - 1], 2, False))
    return {"shift": int(random.choice([0, 1, 5, 15])), "low": int(low), "high": int(high)}


def _requantise(random: Generator, _: int) -> Layer:
    shape = _shape(random, int(random.integers(1, 5)))
    axis = int(random.integers(-len(shape), len(shape)))
    precision = int(random.choice([2, 9, 20, 31]))
    channels = shape[axis] if random.integers(2) else 1
    pre_shift = max(precision - 16, 0) + int(random.integers(0, 3))
    attributes = {"axis": axis, "pre_shift": pre_shift, **_clip(random)}
    multiplier = draw(random, (channels,), 15)
    return Layer("requantise", shape, precision, [(multiplier, 15)], attributes)


def _scaled_add(random: Generator, _: int) -> Layer:
    shape = _shape(random, int(random.integers(1, 5)))
    own, theirs = _numbers(random, 2, -32767, 32767)
    attributes = {"own": own, "theirs": theirs, **_clip(random)}
    return Layer("scaled_add", shape, 9, [(draw(random, shape, 9), 9)], attributes)


def _window(random: Generator, count: int) -> dict[str, object]:
    return {
        "strides": _numbers(random, int(random.choice([1, count])), 1, 3),
        "padding": _numbers(random, int(random.choice([1, count, 2 * count])), 0, 2),
    }


def _weighted(random: Generator, count: int, *, transposed: bool) -> Layer:
    groups = int(random.choice([1, 1, 2, 3]))
    inputs, outputs = (groups * int(n) for n in random.integers(1, 4, 2))
    kernel = _shape(random, count, 3)
    attributes = {
        **_window(random, count),
        "dilation": _numbers(random, count, 1, 2),
        "channels": outputs,
        "kernel_size": kernel,
        "groups": groups,
        "use_bias": bool(random.integers(2)),
    }
    # As large as the widest kernel spread, so that it fits without padding; at least 5 for
    # a deconvolution, whose padding must leave something.
    shape = (int(random.integers(1, 3)), inputs, *_numbers(random, count, 5, 9))
    weight = (outputs, inputs // groups, *kernel)
    if transposed:
        weight = (inputs, outputs // groups, *kernel)
        attributes["output_padding"] = _numbers(random, count, 0, 1)
        attributes["strides"] = _numbers(random, count, 2, 3)
    parameters = [(draw(random, weight, 8), 8)]
    if attributes["use_bias"]:
        parameters.append((draw(random, (outputs,), 20), 20))
    name = f"conv_transpose{count}d" if transposed else f"conv{count}d"
    return Layer(name, shape, 9, parameters, attributes)


def _convolution(random: Generator, count: int) -> Layer:
    return _weighted(random, count, transposed=False)


def _deconvolution(random: Generator, count: int) -> Layer:
    return _weighted(random, count, transposed=True)


def _dense(random: Generator, _: int) -> Layer:
    rows, terms, units = _shape(random, 3, 40)
    parameters = [(draw(random, (units, terms), 8), 8)]
    use_bias = bool(random.integers(2))
    if use_bias:
        parameters.append((draw(random, (units,), 24), 24))
    return Layer("dense", (rows, terms), 9, parameters, {"units": units, "use_bias": use_bias})


def _batch_matmul(random: Generator, _: int) -> Layer:
    rows, terms, columns = _shape(random, 3, 12)
    batch, turned = _shape(random, int(random.integers(0, 3)), 3), bool(random.integers(2))
    right = (columns, terms) if turned else (terms, columns)
    parameters = [(draw(random, (*batch, *right), 9), 9)]
    return Layer("batch_matmul", (*batch, rows, terms), 9, parameters, {"transpose_b": turned})


def _pool(random: Generator, count: int, name: str, precision: int) -> Layer:
    size = _numbers(random, count, 1, 4)
    strides = _numbers(random, count, 1, 3)
    padding = tuple(int(random.integers(0, n)) for n in (*size, *size))
    shape = (*_shape(random, 2, 3), *_numbers(random, count, 8, 11))
    # A last window that is rounded up may not lie in the padding alone.
    may_leave = any(padding) or any(s > k for s, k in zip(strides, size, strict=True))
    attributes = {
        "pool_size": size,
        "strides": strides,
        "padding": padding,
        "ceil_mode": bool(random.integers(2)) and not may_leave,
    }
    return Layer(f"{name}{count}d", shape, precision, [], attributes)


def _max_pool(random: Generator, count: int) -> Layer:
    return _pool(random, count, "max_pool", 32)


def _avg_pool(random: Generator, count: int) -> Layer:
    layer = _pool(random, count, "avg_pool", int(random.choice([9, 20])))
    layer.attributes["count_include_pad"] = bool(random.integers(2))
    return layer


def _upsample(random: Generator, count: int) -> Layer:
    attributes = {
        "scale": _numbers(random, int(random.choice([1, count])), 1, 4),
        "method": str(random.choice(["nearest", "linear"])),
    }
    return Layer("upsample", _shape(random, count + 2, 5), 32, [], attributes)


def _resize(random: Generator, count: int) -> Layer:
    attributes = {
        "size": _shape(random, count, 9),
        "method": str(random.choice(["nearest", "linear"])),
    }
    return Layer("resize", _shape(random, count + 2, 6), 32, [], attributes)


def _pad(random: Generator, _: int) -> Layer:
    shape = tuple(n + 1 for n in _shape(random, int(random.integers(1, 5)), 4))
    attributes = {
        "pad_width": tuple(int(random.integers(0, n)) for n in (*shape, *shape)),
        "mode": str(random.choice(["constant", "edge", "reflect"])),
        "value": int(random.choice([-300, 0, 7])),
    }
    return Layer("pad", shape, int(random.choice([8, 32])), [], attributes)


def _gather(random: Generator, _: int) -> Layer:
    shape = _shape(random, int(random.integers(1, 5)))
    axis = int(random.integers(-len(shape), len(shape)))
    wanted = list(shape)
    wanted[axis] = int(random.integers(1, 9))
    indices = random.integers(-2, shape[axis] + 2, wanted).astype(np.int32)
    return Layer("gather", shape, 32, [(indices, 8)], {"axis": axis})


def _sort(random: Generator, _: int) -> Layer:
    return _sorter(random, "sort")


def _argsort(random: Generator, _: int) -> Layer:
    return _sorter(random, "argsort")


def _sorter(random: Generator, name: str) -> Layer:
    shape = _shape(random, int(random.integers(1, 5)), 9)
    axis = int(random.integers(-len(shape), len(shape)))
    return Layer(name, shape, 32, [], {"axis": axis, "is_ascend": bool(random.integers(2))})


def _regions(random: Generator, name: str) -> Layer:
    shape = (int(random.integers(1, 4)), int(random.integers(1, 4)), *_shape(random, 2, 9))
    count, unit = int(random.integers(1, 6)), int(random.choice([1, 3, 16]))
    regions = random.integers(-3 * unit, 12 * unit, (count, 5)).astype(np.int32)
    regions[:, 0] = random.integers(-1, shape[0] + 1, count)
    attributes = {"pooled_size": _shape(random, 2, 5), "unit": unit}
    return Layer(name, shape, int(random.choice([9, 24])), [(regions, 12)], attributes)


def _roi_pool(random: Generator, _: int) -> Layer:
    return _regions(random, "roi_pool")


def _roi_align(random: Generator, _: int) -> Layer:
    layer = _regions(random, "roi_align")
    layer.attributes |= {
        "samples": int(random.integers(1, 4)),
        "aligned": bool(random.integers(2)),
    }
    return layer


def _table(random: Generator, _: int) -> Layer:
    shape = _shape(random, int(random.integers(1, 5)))
    zero = int(random.choice([0, 128, 255]))
    return Layer("table", shape, 9, [(draw(random, (256,), 32), 32)], {"zero": zero})


def _softmax(random: Generator, _: int) -> Layer:
    shape = _shape(random, int(random.integers(1, 5)))
    axis = int(random.integers(-len(shape), len(shape)))
    table = draw(random, (int(random.integers(1, 300)),), 17)
    if random.integers(2):
        table = np.sort(np.abs(table))[::-1].copy()
    attributes = {"axis": axis, "scale": int(random.choice([1, 127, 255, 16000]))}
    return Layer("softmax", shape, int(random.choice([4, 9, 31])), [(table, 17)], attributes)


def _layer_norm(random: Generator, _: int) -> Layer:
    shape = (*_shape(random, int(random.integers(0, 3)), 4), int(random.integers(1, 40)))
    parameters = [(draw(random, shape[-1:], bits), bits) for bits in (15, 28)]
    attributes = {"fraction": int(random.choice([0, 8, 10, 15])), **_clip(random)}
    return Layer("layer_norm", shape, int(random.choice([2, 9, 16])), parameters, attributes)


#: Makes a layer by the operator's name; the number is how many spatial dimensions it has.
MAKERS: dict[str, tuple[Callable[[Generator, int], Layer], int]] = {
    **{f"conv{n}d": (_convolution, n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": (_deconvolution, n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": (_max_pool, n) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": (_avg_pool, n) for n in (1, 2, 3)},
    **{
        maker.__name__.removeprefix("_"): (maker, 0)
        for maker in (
            *(_requantise, _scaled_add, _dense, _batch_matmul, _pad, _gather, _sort, _argsort),
            *(_roi_pool, _roi_align, _table, _softmax, _layer_norm),
        )
    },
    "upsample": (_upsample, 2),
    "resize": (_resize, 2),
}


def random_layer(operator: str, random: Generator) -> Layer:
    make, count = MAKERS[operator]
    if operator in ("upsample", "resize"):
        count = int(random.integers(1, 4))
    return make(random, count)
