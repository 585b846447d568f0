"""What an operator is: its attributes, its inference rules, its arithmetic, its gas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from node.spec.cvm.attributes import Attributes, Field

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Array = NDArray[np.int32]
Wide = NDArray[np.int64]

#: Shapes of the outputs from attributes and input shapes; refuses what does not fit.
InferShapes = Callable[[Attributes, Shapes], Shapes]
#: Precisions of the outputs from attributes, input shapes, output shapes and input precisions.
InferPrecisions = Callable[[Attributes, Shapes, Shapes, Sequence[int]], Sequence[int]]
#: Reads the inputs, writes the outputs. They may share memory, as the model's storage plan says.
Compute = Callable[[Attributes, Sequence[Array], Sequence[Array]], None]
#: Operations per element of the first output.
Cost = Callable[[Attributes, Shapes, Shapes], int]


def cost_always(operations: int) -> Cost:
    """The same for every shape."""
    return lambda attributes, inputs, outputs: operations


cost_one = cost_always(1)


@dataclass(frozen=True)
class Operator:
    """One operator of the CVM. ``input_count`` None means one or more."""

    name: str
    infer_shapes: InferShapes
    infer_precisions: InferPrecisions
    compute: Compute
    fields: Mapping[str, Field] = field(default_factory=dict)
    input_count: int | Callable[[Attributes], int] | None = 1
    output_count: int = 1
    cost: Cost = cost_one
    in_place: bool = False
    """May write over its own input (the storage plan may give both the same memory)."""

    def count_inputs(self, attributes: Attributes, given: int) -> int:
        """Inputs this operator wants, ``given`` being how many the node has."""
        if self.input_count is None:
            return given
        if isinstance(self.input_count, int):
            return self.input_count
        return self.input_count(attributes)


def pure(function: Callable[[Attributes, Sequence[Array]], NDArray[np.integer]]) -> Compute:
    """An operator whose only output is the value of ``function``, wrapped to 32 bits."""

    def compute(attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        outputs[0][...] = function(attributes, inputs).astype(np.int32)

    return compute


def widen(array: Array) -> Wide:
    return array.astype(np.int64)


def limit_of(precision: int) -> int:
    """Largest magnitude of a precision."""
    return (1 << (precision - 1)) - 1


def precision_of(limit: int) -> int:
    """Fewest bits, sign included, that hold every value up to a magnitude."""
    return limit.bit_length() + 1


def bits_of(number: int) -> int:
    """Bits a sum of ``number`` terms adds to the precision of a term."""
    return number.bit_length()


def same_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [precisions[0]]


def largest_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [max(precisions)]


def sum_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    """Precision of the sum or the difference of two values."""
    return [max(precisions) + 1]


def product_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [sum(precisions)]


def number_precision(number: int) -> int:
    """Precision that the official runtime gives a value of magnitude up to ``number``."""
    return (number + 1).bit_length() + 1
