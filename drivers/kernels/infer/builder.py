"""A plan in the making: tensors, layers, and the layer that a recipe becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drivers.kernels.infer.geometry import Shape, as_planes
from drivers.kernels.infer.intervals import Interval
from drivers.kernels.infer.layers import (
    Add,
    Concatenate,
    Convert,
    Convolution,
    Form,
    Layer,
    Lookup,
    Pool,
    PoolKind,
    Residual,
    Scale,
    Tensor,
    Window,
    Words,
)
from drivers.kernels.infer.primitives import Chain, apply_chain, bound_chain, is_uniform
from drivers.kernels.infer.recipes import Joint, Recipe, Stored, Totals, Weighted
from drivers.kernels.infer.rescaling import identity, match_rescale, match_residual


class Builder:
    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.layers: list[Layer] = []

    def add_words(self, shape: Shape, bounds: Interval) -> int:
        return self._add(Tensor(shape, Form.WORDS, bounds.lowest, bounds.highest))

    def add_bytes(self, shape: Shape, bounds: Interval, is_signed: bool = False) -> int:
        low = min(bounds.lowest, -1) if is_signed else bounds.lowest
        return self._add(Tensor(as_planes(shape), Form.BYTES, low, bounds.highest))

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def bounds_of(self, tensor: int) -> Interval:
        found = self.tensors[tensor]
        return Interval.of(found.low, found.high)

    def recipe_of(self, tensor: int) -> Recipe:
        """A BYTES tensor, from which more may be made."""
        return Recipe(Stored(tensor), (), self.tensors[tensor].shape, self.bounds_of(tensor))

    # --- between the forms

    def to_words(self, tensor: int, shape: Shape) -> int:
        target = self.add_words(shape, self.bounds_of(tensor))
        self.layers.append(Convert(tensor, target))
        return target

    def to_bytes(self, tensor: int, bounds: Interval, shape: Shape) -> int:
        target = self.add_bytes(shape, bounds)
        self.layers.append(Convert(tensor, target))
        return target

    def to_signed(self, tensor: int) -> int:
        """The same values with a zero of 128."""
        found = self.tensors[tensor]
        if found.zero:
            return tensor
        target = self.add_bytes(found.shape, self.bounds_of(tensor), is_signed=True)
        self.layers.append(Scale(tensor, target, identity()))
        return target

    def concatenate(self, parts: Sequence[int], shape: Shape) -> int:
        tensors = [self.tensors[part] for part in parts]
        bounds = Interval.of(min(t.low for t in tensors), max(t.high for t in tensors))
        target = self.add_bytes(shape, bounds)
        self.layers.append(Concatenate(tuple(parts), target))
        return target

    def pool(self, source: int, shape: Shape, window: Window) -> int:
        """The maximum of a BYTES tensor."""
        target = self._add(replace(self.tensors[source], shape=as_planes(shape)))
        self.layers.append(Pool(source, target, PoolKind.LARGEST, window))
        return target

    def sums(self, root: Weighted | Totals, shape: Shape, bounds: Interval) -> int:
        """The root's sums as WORDS."""
        target = self.add_words(shape, bounds)
        if isinstance(root, Weighted):
            self.layers.append(_convolution(root, target))
        else:
            self.layers.append(Pool(root.source, target, PoolKind.SUM, root.window))
        return target

    # --- recipes

    def store(self, recipe: Recipe) -> int | None:
        """A BYTES tensor of the recipe's shape and result; None if no layers compute it.

        The root takes as much of the chain along as it can; the rest follows from bytes.
        """
        for length in range(len(recipe.chain), -1, -1):
            bounds = recipe.bounds_after(length)
            if not bounds.fits_bytes:
                continue
            mark = len(self.tensors), len(self.layers)
            stored = self._store_root(recipe, recipe.chain[:length])
            if stored is not None:
                stored = self._apply(stored, recipe.chain[length:], recipe.shape)
            if stored is not None:
                return stored
            del self.tensors[mark[0] :], self.layers[mark[1] :]
        return None

    def _store_root(self, recipe: Recipe, chain: Chain) -> int | None:
        match recipe.root:
            case Stored(tensor):
                return tensor if not chain else None
            case Weighted() | Totals() as root:
                return self._store_sums(root, chain, recipe)
            case Joint() as root:
                return self._store_joint(root, chain, recipe)

    def _store_sums(self, root: Weighted | Totals, chain: Chain, recipe: Recipe) -> int | None:
        found = match_rescale(chain, recipe.bounds, takes_bias=isinstance(root, Weighted))
        if found is None:
            return None
        target = self.add_bytes(recipe.shape, found.bounds)
        if isinstance(root, Totals):
            pool = Pool(root.source, target, PoolKind.SUM, root.window, found.rescale)
            self.layers.append(pool)
            return target
        biased = root.with_bias(found.bias)
        if biased is None:
            return None
        self.layers.append(replace(_convolution(biased, target), rescale=found.rescale))
        return target

    def _store_joint(self, root: Joint, chain: Chain, recipe: Recipe) -> int | None:
        found = match_residual(*root.addends, chain, root.half, root.theirs)
        if found is None:
            return None
        residual, bounds = found
        target = self.add_bytes(recipe.shape, bounds)
        self.layers.append(_joint_layer(root, target, residual))
        return target

    def _apply(self, tensor: int, chain: Chain, shape: Shape) -> int | None:
        """A chain on bytes: by a table where every channel is treated alike."""
        if not chain:
            return tensor
        bounds = bound_chain(chain, self.bounds_of(tensor))
        if not bounds.fits_bytes:
            return None
        if is_uniform(chain):
            return self._look_up(tensor, chain, shape)
        found = match_rescale(chain, self.bounds_of(tensor))
        if found is None:
            return None
        target = self.add_bytes(shape, found.bounds)
        self.layers.append(Scale(tensor, target, found.rescale))
        return target

    def _look_up(self, tensor: int, chain: Chain, shape: Shape) -> int:
        source = self.tensors[tensor]
        values = np.arange(source.low, source.high + 1, dtype=np.int64)
        results = apply_chain(chain, values)
        target = self.add_bytes(shape, Interval.of(int(results.min()), int(results.max())))
        table = np.full(256, self.tensors[target].zero, np.uint8)
        table[values + source.zero] = (results + self.tensors[target].zero).astype(np.uint8)
        self.layers.append(Lookup(tensor, target, table))
        return target


def _convolution(root: Weighted, target: int) -> Convolution:
    return Convolution(
        root.source, target, root.weight, root.bias, root.window, root.groups, rescale=None
    )


def _joint_layer(root: Joint, target: int, residual: Residual) -> Layer:
    if isinstance(root.own, int):
        return Add(root.own, target, residual)
    layer = _convolution(root.own.root, target)
    return replace(layer, rescale=root.own.rescale, residual=residual)


def bias_or_zero(bias: Words | None, channels: int) -> Words:
    return np.zeros(channels, np.int32) if bias is None else bias.astype(np.int32)
