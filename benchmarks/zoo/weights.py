"""Seeded random weights that keep signals in range, so that calibrating means something."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
            net(torch.from_numpy(random_images(shape, IMAGES, SEED)))
    for each in normalisations:
        _shake(each)
    net.eval()


def random_images(shape: tuple[int, ...], count: int, seed: int) -> NDArray[np.float32]:
    """Coarse noise with fine noise on it, as an image with its mean taken off: (count, *shape)
    within ±1, the same to the bit wherever it is made."""
    generator = np.random.default_rng(seed)
    channels, *sides = shape
    coarse = generator.standard_normal((count, channels, *(side // 8 + 1 for side in sides)))
    image = coarse.repeat(8, 2).repeat(8, 3)[:, :, : sides[0], : sides[1]]
    image = image + 0.2 * generator.standard_normal((count, *shape))
    found: NDArray[np.float32] = np.clip(image / 2, -1, 1).astype(np.float32)
    return found


def _shake(normalisation: nn.BatchNorm2d) -> None:
    mean, variance = normalisation.running_mean, normalisation.running_var
    assert mean is not None and variance is not None
    mean += 0.1 * variance.sqrt() * torch.randn_like(mean)
    variance *= torch.empty_like(variance).uniform_(0.8, 1.25)
