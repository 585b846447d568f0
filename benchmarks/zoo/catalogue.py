"""Which nets there are, what they take, and how large they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Net:
    """One net. ``side`` is its square image's; ``gmac`` and ``million_parameters`` are what the
    definition must have, to two digits after the point and to a tenth."""

    name: str
    build: Callable[[], nn.Module]
    side: int
    gmac: float
    million_parameters: float
    in_table_3: bool = True
    """One of the whitepaper's eight (Inception v3 and BN share a row; v3 stands for it)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.side, self.side)


def find(name: str) -> Net:
    """Raises `ValueError` that names the nets there are."""
    nets = {net.name: net for net in all_nets()}
    if name not in nets:
        raise ValueError(f"no net {name!r}; there are {', '.join(nets)}")
    return nets[name]


@functools.cache
def all_nets() -> tuple[Net, ...]:
    # Not at the top: torch takes seconds, and a list of benchmarks does not need it.
    from benchmarks.zoo import inception, plain, residual, transformer

    def deep(*blocks: int, **options: int) -> Callable[[], nn.Module]:
        return functools.partial(residual.residual, *blocks, **options)

    return (
        Net("caffenet", plain.caffenet, 227, 0.72, 61.0),
        Net("nin", plain.network_in_network, 227, 1.10, 7.6),
        Net("squeezenet", plain.squeezenet, 224, 0.35, 1.2),
        Net("vgg16", functools.partial(plain.vgg, 2, 2, 3, 3, 3), 224, 15.47, 138.4),
        Net("vgg19", functools.partial(plain.vgg, 2, 2, 4, 4, 4), 224, 19.63, 143.7),
        Net("inception-v3", inception.inception_v3, 299, 5.71, 23.8),
        Net("inception-bn", inception.inception_bn, 224, 2.03, 11.3, False),
        Net("resnet-50", deep(3, 4, 6, 3), 224, 4.09, 25.6, False),
        Net("resnet-152", deep(3, 8, 36, 3), 224, 11.51, 60.2),
        Net(
            "resnext-101",
            deep(3, 4, 23, 3, groups=64, group_width=4),
            224,
            15.46,
            83.5,
        ),
        Net("transformer", transformer.Transformer, transformer.SIDE, 0.01, 0.1, False),
    )
