"""Seeded random weights that keep signals in range, so that calibrating means something."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SEED = 20260
#: Images that batch normalisation takes its statistics from.
IMAGES = 4


def fill(net: nn.Module, shape: tuple[int, ...]) -> None:
    """He initialisation; then each normalisation gets statistics that are near, but not, those
    of its input, and a gain and an offset of its own: folding it must change every weight."""
    torch.manual_seed(SEED)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.05)
    normalisations = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for each in normalisations:
        # None averages over all that is seen: one pass is the truth.
        each.momentum = None
        nn.init.uniform_(each.weight, 0.5, 1.2)
        nn.init.normal_(each.bias, std=0.2)
    net.train()
    if normalisations:
        with torch.no_grad():
            net(random_images(shape, IMAGES, SEED))
    for each in normalisations:
        _shake(each)
    net.eval()


def random_images(shape: tuple[int, ...], count: int, seed: int) -> Tensor:
    """Smooth noise in about ±1, as an image with its mean taken off."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(
        (count, shape[0], shape[1] // 8 + 1, shape[2] // 8 + 1), generator=generator
    )
    smooth = nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear")
    return (smooth + 0.2 * torch.randn((count, *shape), generator=generator)).clamp(-2, 2) / 2


def _shake(normalisation: nn.BatchNorm2d) -> None:
    mean, variance = normalisation.running_mean, normalisation.running_var
    assert mean is not None and variance is not None
    mean += 0.1 * variance.sqrt() * torch.randn_like(mean)
    variance *= torch.empty_like(variance).uniform_(0.8, 1.25)
