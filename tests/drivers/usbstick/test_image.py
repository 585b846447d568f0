"""What a stick's image cannot say is refused."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.errors import NotSupported
from drivers.program import Program, Step
from drivers.usbstick.image import build_image


def test_uneven_padding_is_refused() -> None:
    program = Program(
        shapes=((1, 1, 2, 2), (1, 1, 2, 2), (1, 1, 2, 2)),
        precisions=(8, 8, 20),
        parameters={1: np.ones((1, 1, 2, 2), np.int32)},
        steps=(Step("conv2d", (0, 1), (2,), {"padding": (0, 0, 1, 1)}),),
        heads=(2,),
    )
    with pytest.raises(NotSupported, match="both ends"):
        build_image(program)
