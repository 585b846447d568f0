"""Models to ask for: small convolutional nets of several sizes."""

from __future__ import annotations

import numpy as np

from node.spec.cvm.writer import Entry, ModelWriter

#: Sides and channels of the nets of the stream.
NETS = ((8, 8), (8, 16), (16, 8), (16, 16), (16, 32), (32, 8), (32, 16), (32, 32))


def convolutional_net(side: int, channels: int, seed: int = 0) -> tuple[bytes, bytes]:
    """Two 3×3 convolutions on a square image of three channels, then ten outputs."""
    writer, random = ModelWriter(), np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> Entry:
        return writer.add_parameter(name, random.integers(-127, 128, shape), 8)

    value = writer.add_input((1, 3, side, side), 8)
    for number, inputs in enumerate((3, channels)):
        kernel = weights(f"w{number}", channels, inputs, 3, 3)
        value = writer.add(
            "conv2d",
            f"c{number}",
            [value, kernel],
            channels=channels,
            kernel_size=(3, 3),
            padding=(1, 1),
            use_bias=False,
        )
        value = writer.add(
            "cvm_right_shift", f"s{number}", [value], precision=8, shift_bit=8 + number
        )
        value = writer.add("relu", f"r{number}", [value])
    value = writer.add("flatten", "flat", [value])
    head = weights("wd", 10, side * side * channels)
    return writer.finish([writer.add("dense", "fc", [value, head], units=10, use_bias=False)])
