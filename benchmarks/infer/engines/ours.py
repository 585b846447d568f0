"""Our engine, on the integer models: the extension form, and the official one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import drivers.cpu
import drivers.kernels.infer
from benchmarks.infer.engines.base import Images
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import converted_folder, digest_package, root
from benchmarks.zoo.integers import (
    EXTENSION,
    Variant,
    model_folder,
    quantise_images,
    read_program,
)
from drivers.cpu.infer import InferRuns
from node.mrt.errors import TooLarge

_MEMORY_LIMIT_BYTES = 8 << 30
_BLOB_BUDGET_BYTES = 16 << 30


class OurRunner:
    """A session of its own with one model, from its packed form where that is kept."""

    def __init__(self, net: Net, variant: Variant, images: Images, threads: int) -> None:
        self._session = InferRuns(
            _MEMORY_LIMIT_BYTES,
            threads=threads,
            blob_folder=root() / "blobs",
            blob_budget_bytes=_BLOB_BUDGET_BYTES,
        )
        self._id = model_id(net, variant, len(images))
        if not self._session.recall(self._id):
            self._session.load(self._id, read_program(net, variant, len(images)))
        self._input = quantise_images(net, images).tobytes()
        self._batch = len(images)

    def run(self) -> NDArray[np.int32]:
        answer = self._session.run(self._id, self._input)
        return np.frombuffer(answer, "<i4").reshape(self._batch, -1)

    def close(self) -> None:
        self._session.close()


def model_id(net: Net, variant: Variant, batch: int) -> str:
    """Of this state of the net, the converter and what packs: another gets another id."""
    packers = "-".join(digest_package(each) for each in (drivers.cpu, drivers.kernels.infer))
    return f"{net.name}-{converted_folder(net, '').name}-{packers}-{variant.name}-{batch}"


class Ours:
    def __init__(self, name: str = "farmctl", variant: Variant = EXTENSION) -> None:
        self.name, self.variant = name, variant

    def missing(self) -> str:
        return ""

    def refuses(self, net: Net, batch: int) -> str:
        if net.name == "transformer" and self.variant.form != EXTENSION.form:
            return "the official form has no transformer"
        try:
            model_folder(net, self.variant, batch)
        except TooLarge as error:
            return str(error)
        return ""

    def prepare(self, net: Net, batch: int) -> None:
        images = np.zeros((batch, *net.shape), np.float32)
        self.load(net, images, 1).close()

    def load(self, net: Net, images: Images, threads: int) -> OurRunner:
        return OurRunner(net, self.variant, images, threads)
