"""Our engine, on the integer model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.integers import Form, model_folder, quantise_images, read_program
from drivers.cpu.infer import InferRuns

_MEMORY_LIMIT_BYTES = 8 << 30
_MODEL = "model"


class OurRunner:
    def __init__(self, net: Net, images: Images, threads: int) -> None:
        self._runs = InferRuns(_MEMORY_LIMIT_BYTES, threads)
        self._runs.load(_MODEL, read_program(net, Form.CVM, len(images)))
        self._input = quantise_images(net, images).tobytes()
        self._batch = len(images)

    def run(self) -> NDArray[np.int32]:
        return np.frombuffer(self._runs.run(_MODEL, self._input), "<i4").reshape(self._batch, -1)

    def close(self) -> None:
        self._runs.close()


class Ours:
    name = "farmctl"

    def missing(self) -> str:
        return ""

    def refuses(self, net: Net, batch: int) -> str:
        return ""

    def prepare(self, net: Net, batch: int) -> None:
        model_folder(net, Form.CVM, batch)

    def load(self, net: Net, images: Images, threads: int) -> OurRunner:
        return OurRunner(net, images, threads)
