"""What is damaged: small models of every operator, each a few kilobytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.models.input_file import write_input
from node.spec.cvm import Graph, load
from tests.support.cvm_models import random_model, small_model
from tests.support.extension_layers import MAKERS, random_layer

RANDOM_MODELS, LAYERS_EACH = 24, 2


@dataclass(frozen=True)
class Model:
    symbol: bytes
    parameters: bytes
    extended: bool

    def graph(self) -> Graph:
        return load(self.symbol, self.parameters, extended=self.extended)


def make_models() -> list[Model]:
    models = [Model(*small_model(), extended=False)]
    for seed in range(RANDOM_MODELS):
        models.append(Model(*random_model(np.random.default_rng(seed)), extended=False))
    for operator in sorted(MAKERS):
        for seed in range(LAYERS_EACH):
            layer = random_layer(operator, np.random.default_rng(seed))
            models.append(Model(*layer.files(), extended=True))
    return models


def make_inputs() -> list[bytes]:
    words = np.arange(-6, 6, dtype=np.int32).reshape(1, 3, 4)
    return [write_input(words), write_input(words.astype(np.int8))]
