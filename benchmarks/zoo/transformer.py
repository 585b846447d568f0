"""A small vision transformer (Dosovitskiy et al. 2020): patches of a 32×32 image, two layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

WIDTH, HEADS, LAYERS, PATCH, SIDE, CLASSES = 64, 4, 2, 4, 32, 10
TOKENS = (SIDE // PATCH) ** 2


class Attention(nn.Module):
    """Self-attention of one image: (1, tokens, width) in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        def split(values: Tensor) -> Tensor:
            return values.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(WIDTH // HEADS)
        mixed = torch.matmul(torch.softmax(scores, -1), value)
        found: Tensor = self.out(mixed.transpose(1, 2).reshape(-1, TOKENS, WIDTH))
        return found


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(WIDTH), Attention())
        self.body = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, 4 * WIDTH),
            nn.GELU(),
            nn.Linear(4 * WIDTH, WIDTH),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        found: Tensor = x + self.body(x)
        return found


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.place = nn.Parameter(0.1 * torch.randn(1, TOKENS, WIDTH))
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)), nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).reshape(-1, WIDTH, TOKENS).transpose(1, 2) + self.place
        found: Tensor = self.head(self.layers(tokens).mean(1))
        return found
