"""What an extension operator refuses as it cannot be proved, and the largest that can."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from node.spec.cvm import CvmLoadError
from node.spec.cvm.execution import compute_heads
from tests.support.extension_layers import Layer


def ints(*values):
    return np.array(values, np.int32)


WEIGHT = (np.full((1, 1, 3), 127), 8)
CLIP = {"shift": 4, "low": -127, "high": 127}


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Layer("requantise", (2, 2), 32, [(ints(7, 7), 4)], CLIP), "beyond int32"),
        (Layer("requantise", (2, 2), 8, [(ints(1, 1, 1), 4)], CLIP), "multiplier is"),
        (Layer("requantise", (2, 2), 8, [(ints(1, 1), 4)], {**CLIP, "low": 127}), "not below"),
        (Layer("requantise", (2, 2), 8, [(ints(1, 1), 4)], {**CLIP, "shift": 31}), "outside"),
        (Layer("scaled_add", (2,), 18, [(ints(1, 1), 2)], {"own": 32767, "theirs": 1, **CLIP}),
         "beyond int32"),
        (Layer("scaled_add", (2,), 8, [(ints(1), 2)], {"own": 1, "theirs": 1, **CLIP}), "differ"),
        (Layer("dense", (1, 66_312), 9, [(np.zeros((1, 66_312)), 8)],
               {"units": 1, "use_bias": False}), "beyond int32"),
        (Layer("dense", (1, 4), 10, [(np.zeros((1, 4)), 8)], {"units": 1, "use_bias": False}),
         "data precision 10 exceeds 9"),
        (Layer("conv1d", (1, 1, 5), 9, [(np.zeros((1, 1, 3)), 9)],
               {"channels": 1, "kernel_size": 3, "use_bias": False}), "weight precision 9"),
        (Layer("conv1d", (1, 1, 2), 9, [WEIGHT],
               {"channels": 1, "kernel_size": 3, "use_bias": False}), "exceeds the padded input"),
        (Layer("conv1d", (1, 2, 5), 9, [WEIGHT],
               {"channels": 1, "kernel_size": 3, "groups": 2, "use_bias": False}), "not divide"),
        (Layer("conv1d", (1, 1, 5), 9, [WEIGHT],
               {"channels": 1, "kernel_size": 3, "padding": "(1,2,3)", "use_bias": False}),
         "must have 1 numbers"),
        (Layer("conv_transpose1d", (1, 1, 5), 9, [WEIGHT],
               {"channels": 1, "kernel_size": 3, "output_padding": 1, "use_bias": False}),
         "too large"),
        (Layer("batch_matmul", (2, 3, 4), 9, [(np.zeros((3, 4, 2)), 8)]), "differ before"),
        (Layer("batch_matmul", (3, 4), 10, [(np.zeros((4, 2)), 8)]), "exceeds 9"),
        (Layer("avg_pool1d", (1, 1, 8), 31, [], {"pool_size": 2}), "beyond int32"),
        (Layer("max_pool1d", (1, 1, 8), 8, [], {"pool_size": 2, "padding": 2}), "in the padding"),
        (Layer("table", (2,), 10, [(np.zeros(256), 8)]), "exceeds 9"),
        (Layer("table", (2,), 8, [(np.zeros(255), 8)]), "the table is"),
        (Layer("softmax", (40_000,), 8, [(ints(65535), 17)]), "beyond int32"),
        (Layer("layer_norm", (4000,), 16, [(np.zeros(4000), 8)] * 2, CLIP), "beyond int64"),
        (Layer("pad", (3,), 8, [], {"pad_width": "(3, 0)", "mode": "reflect"}), "reflected"),
        (Layer("pad", (3,), 8, [], {"pad_width": "(3, 0)", "mode": "wrap"}), "is none of"),
        (Layer("pad", (3,), 8, [], {"pad_width": "(3,)"}), "must have 2 numbers"),
        (Layer("gather", (3, 2), 8, [(np.zeros((2, 2)), 8)], {"axis": 1}), "off axis"),
        (Layer("sort", (3,), 8, [], {"axis": 1}), "outside"),
        (Layer("upsample", (1, 1, 3), 8, [], {"scale": 0}), "outside"),
        (Layer("upsample", (1, 1, 3), 8, [], {"scale": 2, "method": "cubic"}), "unknown"),
        (Layer("resize", (1, 1, 3), 8, [], {"size": "(2, 2)"}), "must be 1 numbers"),
        (Layer("roi_pool", (1, 1, 3, 3), 8, [(np.zeros((2, 4)), 8)], {"pooled_size": "(1, 1)"}),
         r"is not \(n, 5\)"),
        (Layer("roi_align", (1, 1, 3, 3), 32, [(np.zeros((2, 5)), 8)],
               {"pooled_size": "(64, 64)", "unit": 65536}), "beyond int64"),
        (Layer("roi_pool", (1, 1, 3, 3), 8, [(np.zeros((4097, 5)), 8)], {"pooled_size": "(1, 1)"}),
         "4097 regions exceed 4096"),
        (Layer("roi_pool", (1, 1, 3, 3), 8, [(np.zeros((1, 5)), 8)], {"pooled_size": "(1, 65)"}),
         "65 bins along an axis exceed 64"),
        (Layer("avg_pool3d", (1, 1, 1, 1, 1), 8, [],
               {"pool_size": "(600, 600, 600)", "padding": 599, "strides": 4096}),
         "the padded input has 1723683599 elements"),
        (Layer("max_pool3d", (1, 1, 300, 300, 300), 8, [],
               {"pool_size": "(290, 290, 290)", "strides": 299, "ceil_mode": True}),
         f"the padded input has {589**3} elements"),
        (Layer("conv_transpose2d", (1, 1, 1, 1), 8, [(np.zeros((1, 1, 65, 64)), 8)],
               {"channels": 1, "kernel_size": "(65, 64)", "use_bias": False}),
         "4160 taps exceed 4096"),
    ],
)  # fmt: skip
def test_what_cannot_be_proved_is_refused(layer, reason):
    with pytest.raises(CvmLoadError, match=reason):
        layer.graph()


def test_the_largest_sums_that_fit_are_allowed():
    """K = 66,311 products of 255 by 127 stay below 2^31."""
    terms = (2**31 - 1) // (255 * 127)
    layer = Layer("dense", (1, terms), 9, [(np.full((1, terms), 127), 8)],
                  {"units": 1, "use_bias": False})  # fmt: skip
    found = compute_heads(layer.graph(), np.full((1, terms), 255, np.int32))[0]
    assert found.tolist() == [[255 * 127 * terms]]
    assert prod(layer.shape) == 66_311
