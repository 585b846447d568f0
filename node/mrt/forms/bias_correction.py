"""Take the mean error that rounding the weights makes out of the bias."""

from __future__ import annotations

import numpy as np

from node.mrt.forms.numbers import IntegerWeights
from node.mrt.layers import Convolution, Dense, Floats, Weighted
from node.mrt.passes.affine_folding import sum_inputs


def correct_bias(layer: Weighted, weights: IntegerWeights, mean: Floats | None) -> Floats | None:
    """The bias such that the layer is right for the mean input.

    Args:
        mean: Of each input channel over the calibration; without it the bias stays.
    """
    if mean is None or not isinstance(layer, Convolution | Dense):
        return layer.bias
    column: Floats = layer.spread(weights.scale).astype(np.float32)
    error = weights.values * column
    error -= layer.weight
    bias = np.zeros(layer.channels) if layer.bias is None else layer.bias
    return (bias - sum_inputs(layer, mean.astype(np.float64), error)).astype(np.float32)
