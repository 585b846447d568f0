"""Our engine on an OpenCL device: on a processor's OpenCL its exactness counts, not its time."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.integers import EXTENSION, quantise_images, read_program
from drivers import registry
from drivers.base import Capability, InferSession

OPENCL_ENGINE = "farmctl opencl"
_DEVICE = "opencl:0"


class OpenClRunner:
    def __init__(self, net: Net, images: Images) -> None:
        device = registry.find_device("opencl", _DEVICE)
        self._session = cast(InferSession, device.open(Capability.INFER))
        self._session.load(net.name, read_program(net, EXTENSION, len(images)))
        self._name, self._batch = net.name, len(images)
        self._input = quantise_images(net, images).tobytes()

    def run(self) -> NDArray[np.int32]:
        answer = self._session.run(self._name, self._input)
        return np.frombuffer(answer, "<i4").reshape(self._batch, -1)

    def close(self) -> None:
        self._session.close()


class OpenCl:
    """The device has its own number of threads."""

    name = OPENCL_ENGINE

    def missing(self) -> str:
        survey = registry.survey_family("opencl")
        return "" if survey.devices else survey.probe.reason

    def refuses(self, net: Net, batch: int) -> str:
        return ""

    def prepare(self, net: Net, batch: int) -> None:
        read_program(net, EXTENSION, batch)

    def load(self, net: Net, images: Images, threads: int) -> OpenClRunner:
        return OpenClRunner(net, images)
