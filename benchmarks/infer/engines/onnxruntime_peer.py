"""onnxruntime: int8 by its own static quantisation, and float for scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images, missing_package
from benchmarks.infer.engines.quantised_peer import QuantisedPeer
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import onnx_file


def open_session(path: Path, threads: int) -> Any:
    """A session whose threads stop spinning when a run ends, so that they take nothing from
    the engine whose turn is next."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class SessionRunner:
    def __init__(self, path: Path, images: Images, threads: int) -> None:
        self._session = open_session(path, threads)
        self._feed = {"image": images}

    def run(self) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._session.run(None, self._feed)[0]
        return scores

    def close(self) -> None:
        del self._session


INT8 = QuantisedPeer("onnxruntime", SessionRunner)


class OnnxRuntimeFloat:
    name = "onnxruntime fp32"

    def missing(self) -> str:
        return missing_package("onnxruntime")

    def refuses(self, net: Net, batch: int) -> str:
        return "" if batch == 1 else "shown for scale, at batch 1 alone"

    def prepare(self, net: Net, batch: int) -> None:
        onnx_file(net)

    def load(self, net: Net, images: Images, threads: int) -> SessionRunner:
        return SessionRunner(onnx_file(net), images, threads)
