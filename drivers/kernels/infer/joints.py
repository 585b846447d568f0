"""Additions of two values: sums that nobody else reads take the other side in as they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.kernels.infer.geometry import as_planes, has_planes, same_planes
from drivers.kernels.infer.intervals import HIGHEST, Interval
from drivers.kernels.infer.primitives import Chain, Multiply, Offset
from drivers.kernels.infer.recipes import Joint, Recipe, Rescaled, Weighted
from drivers.kernels.infer.rescaling import Addend, match_rescale
from drivers.program import Step

if TYPE_CHECKING:
    from drivers.kernels.infer.fusion import Fusion


@dataclass(frozen=True)
class Side:
    """One operand: ``recipe``'s values times ``factor`` plus ``half``."""

    recipe: Recipe
    factor: int
    half: int

    @property
    def addend(self) -> Addend:
        return Addend(self.recipe.result.over_all(), self.factor)


def join(fusion: Fusion, step: Step, factors: tuple[int, int]) -> Recipe | None:
    """The sum of a step's two operands, each times its factor."""
    shapes = fusion.program.shapes
    shape = shapes[step.outputs[0]]
    if not has_planes(shape) or any(shapes[each] != shape for each in step.inputs):
        return None
    if any(each in fusion.program.parameters for each in step.inputs):
        return None
    first, second = (
        _read_side(fusion, each, factor) for each, factor in zip(step.inputs, factors, strict=True)
    )
    if first is None or second is None:
        return None
    orders = [(first, second), (second, first)]
    if step.inputs[1] > step.inputs[0]:
        orders.reverse()  # what is made later takes the earlier in
    for own, theirs in orders:
        if (rescaled := _read_sums(own)) and (joint := _make(fusion, own, theirs, rescaled)):
            return joint
    own_tensor = fusion.builder.store(first.recipe)
    return None if own_tensor is None else _make(fusion, first, second, own_tensor)


def _read_side(fusion: Fusion, number: int, factor: int) -> Side | None:
    recipe = fusion.recipe_of(number)
    if recipe is None or not same_planes(recipe.shape, fusion.program.shapes[number]):
        stored = fusion.stored_exactly(number)
        if stored is None:
            return None
        recipe = fusion.builder.recipe_of(stored)
    length = len(recipe.chain)
    while length and _is_scalar(recipe.chain[length - 1 : length]):
        length -= 1
    folded, half = _fold(recipe.chain[length:], factor)
    if max(abs(folded), abs(half)) > HIGHEST:  # of a value that is nearly always 0
        return Side(recipe, factor, 0)
    return Side(recipe.cut(length), folded, half)


def _is_scalar(part: Chain) -> bool:
    (primitive,) = part
    if isinstance(primitive, Multiply):
        return primitive.factor.size == 1
    return isinstance(primitive, Offset) and primitive.amount.size == 1


def _fold(tail: Chain, factor: int) -> tuple[int, int]:
    """``factor`` · tail(x) as a · x + b."""
    a, b = 1, 0
    for primitive in tail:
        if isinstance(primitive, Multiply):
            a, b = a * int(primitive.factor[0]), b * int(primitive.factor[0])
        elif isinstance(primitive, Offset):
            b += int(primitive.amount[0])
    return factor * a, factor * b


def _read_sums(side: Side) -> Rescaled | None:
    """The side as sums that a layer brings to its value, if it is that."""
    root = side.recipe.root
    if not isinstance(root, Weighted):
        return None
    found = match_rescale(side.recipe.chain, side.recipe.bounds, takes_bias=True)
    if found is None:
        return None
    biased = root.with_bias(found.bias)
    return Rescaled(biased, found.rescale) if biased else None


def _make(fusion: Fusion, own: Side, theirs: Side, value: Rescaled | int) -> Recipe | None:
    addends, half = (own.addend, theirs.addend), own.half + theirs.half
    if not theirs.addend.bounds.fits_bytes:
        return None
    bounds = own.addend.product.add(theirs.addend.product).add(Interval.of(half, half))
    other = fusion.builder.store(theirs.recipe) if bounds.fits_words else None
    if other is None:
        return None
    joint = Joint(value, other, addends, half)
    return Recipe(joint, (), as_planes(own.recipe.shape), bounds)
