"""OpenVINO on the quantised ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images
from benchmarks.infer.engines.quantised_peer import QuantisedPeer


def compile_file(
    path: Path, shape: tuple[int, ...], threads: int, cache: Path | None = None
) -> Any:
    """One stream, tuned for latency."""
    import openvino

    core = openvino.Core()
    if cache is not None:
        core.set_property({"CACHE_DIR": str(cache)})
    model = core.read_model(path)
    model.reshape({"image": list(shape)})
    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    return core.compile_model(model, "CPU", options)


class VinoRunner:
    def __init__(self, path: Path, images: Images, threads: int, cache: Path | None = None) -> None:
        self._request = compile_file(path, images.shape, threads, cache).create_infer_request()
        self._images = images

    def run(self) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._request.infer({0: self._images}, share_inputs=True)[0]
        return found

    def close(self) -> None:
        del self._request


INT8 = QuantisedPeer("openvino", VinoRunner)
