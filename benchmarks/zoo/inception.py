"""Inception-BN (Ioffe and Szegedy 2015) and Inception v3 (Szegedy et al. 2015), without their
auxiliary classifiers."""

from __future__ import annotations

from torch import nn

from benchmarks.zoo.parts import Branches, average_and_classify
from benchmarks.zoo.parts import convolve_normalised as unit


def inception_bn() -> nn.Module:
    return nn.Sequential(
        unit(3, 64, 7, 2, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        unit(64, 64, 1),
        unit(64, 192, 3, 1, 1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        _mixed(192, 64, (64, 64), (64, 96), 32),
        _mixed(256, 64, (64, 96), (64, 96), 64),
        _reduced(320, (128, 160), (64, 96)),
        _mixed(576, 224, (64, 96), (96, 128), 128),
        _mixed(576, 192, (96, 128), (96, 128), 128),
        _mixed(576, 160, (128, 160), (128, 160), 128),
        _mixed(608, 96, (128, 192), (160, 192), 128),
        _reduced(608, (128, 192), (192, 256)),
        _mixed(1056, 352, (192, 320), (160, 224), 128),
        _mixed(1024, 352, (192, 320), (192, 224), 128, largest=True),
        *average_and_classify(1024),
    )


def _mixed(
    inputs: int,
    single: int,
    once: tuple[int, int],
    twice: tuple[int, int],
    pooled: int,
    largest: bool = False,
) -> nn.Module:
    pool: nn.Module = nn.MaxPool2d(3, 1, 1) if largest else nn.AvgPool2d(3, 1, 1)
    return Branches(
        unit(inputs, single, 1),
        nn.Sequential(unit(inputs, once[0], 1), unit(once[0], once[1], 3, 1, 1)),
        nn.Sequential(
            unit(inputs, twice[0], 1),
            unit(twice[0], twice[1], 3, 1, 1),
            unit(twice[1], twice[1], 3, 1, 1),
        ),
        nn.Sequential(pool, unit(inputs, pooled, 1)),
    )


def _reduced(inputs: int, once: tuple[int, int], twice: tuple[int, int]) -> nn.Module:
    """Halves the sides; the pooled input itself is the last branch."""
    return Branches(
        nn.Sequential(unit(inputs, once[0], 1), unit(once[0], once[1], 3, 2, 1)),
        nn.Sequential(
            unit(inputs, twice[0], 1),
            unit(twice[0], twice[1], 3, 1, 1),
            unit(twice[1], twice[1], 3, 2, 1),
        ),
        nn.MaxPool2d(3, 2, 1),
    )


def inception_v3() -> nn.Module:
    return nn.Sequential(
        *(unit(3, 32, 3, 2), unit(32, 32, 3), unit(32, 64, 3, 1, 1), nn.MaxPool2d(3, 2)),
        *(unit(64, 80, 1), unit(80, 192, 3), nn.MaxPool2d(3, 2)),
        *(_grid_35(192, 32), _grid_35(256, 64), _grid_35(288, 64)),
        _to_17(288),
        *(_grid_17(width) for width in (128, 160, 160, 192)),
        _to_8(768),
        *(_grid_8(1280), _grid_8(2048)),
        *average_and_classify(2048),
    )


def _average(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(inputs, outputs, 1))


def _grid_35(inputs: int, pooled: int) -> nn.Module:
    return Branches(
        unit(inputs, 64, 1),
        nn.Sequential(unit(inputs, 48, 1), unit(48, 64, 5, 1, 2)),
        nn.Sequential(unit(inputs, 64, 1), unit(64, 96, 3, 1, 1), unit(96, 96, 3, 1, 1)),
        _average(inputs, pooled),
    )


def _to_17(inputs: int) -> nn.Module:
    return Branches(
        unit(inputs, 384, 3, 2),
        nn.Sequential(unit(inputs, 64, 1), unit(64, 96, 3, 1, 1), unit(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _row(inputs: int, outputs: int) -> nn.Module:
    return unit(inputs, outputs, (1, 7), 1, (0, 3))


def _column(inputs: int, outputs: int) -> nn.Module:
    return unit(inputs, outputs, (7, 1), 1, (3, 0))


def _grid_17(width: int) -> nn.Module:
    return Branches(
        unit(768, 192, 1),
        nn.Sequential(unit(768, width, 1), _row(width, width), _column(width, 192)),
        nn.Sequential(
            unit(768, width, 1),
            *(_column(width, width), _row(width, width), _column(width, width)),
            _row(width, 192),
        ),
        _average(768, 192),
    )


def _to_8(inputs: int) -> nn.Module:
    return Branches(
        nn.Sequential(unit(inputs, 192, 1), unit(192, 320, 3, 2)),
        nn.Sequential(
            unit(inputs, 192, 1), _row(192, 192), _column(192, 192), unit(192, 192, 3, 2)
        ),
        nn.MaxPool2d(3, 2),
    )


def _grid_8(inputs: int) -> nn.Module:
    def split() -> nn.Module:
        return Branches(unit(384, 384, (1, 3), 1, (0, 1)), unit(384, 384, (3, 1), 1, (1, 0)))

    return Branches(
        unit(inputs, 320, 1),
        nn.Sequential(unit(inputs, 384, 1), split()),
        nn.Sequential(unit(inputs, 448, 1), unit(448, 384, 3, 1, 1), split()),
        _average(inputs, 192),
    )
