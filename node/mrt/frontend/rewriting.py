"""Patterns that are rewritten within ONNX, so that the float model shows what they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import pattern


class SpreadNormalisation(pattern.RewriteRuleClassBase):
    """Local response normalisation as squares, a sum over neighbouring channels, a power and a
    product."""

    def pattern(self, op: Any, x: Any) -> Any:
        return op.LRN(x, _outputs=["normalised"])

    def check(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        found = pattern.MatchResult()
        x = kwargs["x"]
        if x.shape is None or len(x.shape) != 4 or not isinstance(x.shape[1], int):
            found.fail("the channels are unknown", x)
        return found

    def rewrite(self, op: Any, x: ir.Value, normalised: ir.Value) -> Any:
        node = normalised.producer()
        assert node is not None and x.shape is not None
        size = node.attributes["size"].as_int()
        alpha, beta, bias = (
            node.attributes.get_float(name, default)
            for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
        )
        channels = x.shape[1]
        assert isinstance(channels, int)
        weight = _band(channels, size) * np.float32(alpha / size)
        sums = op.Conv(op.Mul(x, x), _constant(op, weight))
        factor = op.Pow(op.Add(sums, _constant(op, np.float32(bias))), _constant(op, -beta))
        return op.Mul(x, factor)


def _constant(op: Any, value: Any) -> Any:
    return op.Constant(value=ir.tensor(np.asarray(value, np.float32)))


def _band(channels: int, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(channels, channels, 1, 1): ones where a channel sees another."""
    distance = np.arange(channels)[None] - np.arange(channels)[:, None]
    near = (distance >= -((size - 1) // 2)) & (distance <= size // 2)
    return near.astype(np.float32)[:, :, None, None]


RULES: tuple[Any, ...] = (SpreadNormalisation.rule(),)  # type: ignore[no-untyped-call]
