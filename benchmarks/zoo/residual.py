"""Residual nets: ResNet (He et al. 2015, stride in the 3×3) and ResNeXt (Xie et al. 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.zoo.parts import average_and_classify

EXPANSION = 4


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1, added to the input or to a projection of it."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normalised(nn.Conv2d(inputs, width, 1, bias=False)),
            nn.ReLU(),
            *_normalised(nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)),
            nn.ReLU(),
            *_normalised(nn.Conv2d(width, outputs, 1, bias=False)),
        )
        projection = _normalised(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
        self.shortcut = nn.Sequential(*projection) if inputs != outputs else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return found


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels)]


def residual(*blocks: int, groups: int = 1, group_width: int = 64) -> nn.Module:
    """``blocks`` of each of the four stages; ``group_width`` channels a group in the first."""
    layers = [*_normalised(nn.Conv2d(3, 64, 7, 2, 3, bias=False)), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for stage, count in enumerate(blocks):
        outputs = 64 * EXPANSION << stage
        for index in range(count):
            stride = 2 if stage and not index else 1
            layers.append(
                Bottleneck(inputs, groups * group_width << stage, outputs, stride, groups)
            )
            inputs = outputs
    return nn.Sequential(*layers, *average_and_classify(inputs))
