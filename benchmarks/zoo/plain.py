"""Nets without batch normalisation: CaffeNet, Network in Network, SqueezeNet, VGG."""

from __future__ import annotations

from torch import nn

from benchmarks.zoo.parts import Branches, convolve


def caffenet() -> nn.Module:
    """Krizhevsky et al. 2012 with Caffe's order of pooling. Its local response normalisation is
    left out, for the peers as for us: none of them has it in int8."""
    return nn.Sequential(
        convolve(3, 96, 11, 4),
        nn.MaxPool2d(3, 2),
        convolve(96, 256, 5, padding=2, groups=2),
        nn.MaxPool2d(3, 2),
        convolve(256, 384, 3, padding=1),
        convolve(384, 384, 3, padding=1, groups=2),
        convolve(384, 256, 3, padding=1, groups=2),
        nn.MaxPool2d(3, 2),
        *_classify(256 * 6 * 6),
    )


def _classify(features: int) -> list[nn.Module]:
    dense = [nn.Linear(features, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
    return [nn.Flatten(), *dense, nn.Linear(4096, 1000)]


def network_in_network() -> nn.Module:
    """Lin et al. 2013, the form for ImageNet."""

    def block(inputs: int, first: int, last: int, size: int, **options: int) -> list[nn.Module]:
        return [
            convolve(inputs, first, size, **options),
            convolve(first, first, 1),
            convolve(first, last, 1),
        ]

    return nn.Sequential(
        *block(3, 96, 96, 11, stride=4),
        nn.MaxPool2d(3, 2),
        *block(96, 256, 256, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *block(256, 384, 384, 3, padding=1),
        nn.MaxPool2d(3, 2),
        *block(384, 1024, 1000, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def squeezenet() -> nn.Module:
    """Iandola et al. 2016, version 1.1."""

    def fire(inputs: int, squeezed: int, expanded: int) -> nn.Module:
        wide = Branches(convolve(squeezed, expanded, 1), convolve(squeezed, expanded, 3, padding=1))
        return nn.Sequential(convolve(inputs, squeezed, 1), wide)

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        convolve(3, 64, 3, 2),
        pool(),
        *(fire(64, 16, 64), fire(128, 16, 64), pool()),
        *(fire(128, 32, 128), fire(256, 32, 128), pool()),
        *(fire(256, 48, 192), fire(384, 48, 192), fire(384, 64, 256), fire(512, 64, 256)),
        convolve(512, 1000, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def vgg(*convolutions: int) -> nn.Module:
    """Simonyan and Zisserman 2014; ``convolutions`` of each of the five stages."""
    layers: list[nn.Module] = []
    inputs = 3
    for count, channels in zip(convolutions, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers.append(convolve(inputs, channels, 3, padding=1))
            inputs = channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers, *_classify(512 * 7 * 7))
