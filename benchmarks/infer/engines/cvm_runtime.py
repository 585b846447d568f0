"""Cortex's own cvm-runtime, on the official form of the model.

``FARMCTL_CVM_RUNTIME`` names its libcvm_runtime.so, built with ``-O3 -march=native``.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_char_p, c_int, c_ulonglong, c_void_p

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.integers import OFFICIAL, model_folder, quantise_images

VARIABLE = "FARMCTL_CVM_RUNTIME"
CPU = 0


class CvmRunner:
    def __init__(self, net: Net, images: Images, threads: int) -> None:
        self._library = ctypes.CDLL(os.environ[VARIABLE])
        ctypes.CDLL("libgomp.so.1").omp_set_num_threads(threads)
        self._handle = self._load(net, len(images))
        self._input = quantise_images(net, images).astype("i1").tobytes()
        size, width = c_ulonglong(), c_ulonglong()
        self._check(self._library.CVMAPIGetOutputLength(self._handle, byref(size)))
        self._check(self._library.CVMAPIGetOutputTypeSize(self._handle, byref(width)))
        self._kind = "<i4" if width.value == 4 else "<i1"
        self._answer = ctypes.create_string_buffer(size.value * width.value)

    def _load(self, net: Net, batch: int) -> c_void_p:
        folder, handle = model_folder(net, OFFICIAL, batch), c_void_p()
        symbol, parameters = ((folder / name).read_bytes() for name in ("symbol", "params"))
        load = self._library.CVMAPILoadModel
        load.argtypes = (c_char_p, c_int, c_char_p, c_int, c_void_p, c_int, c_int)
        sizes = len(symbol), len(parameters)
        self._check(load(symbol, sizes[0], parameters, sizes[1], byref(handle), CPU, 0))
        return handle

    def run(self) -> NDArray[np.int32]:
        self._check(
            self._library.CVMAPIInference(self._handle, self._input, len(self._input), self._answer)
        )
        return np.frombuffer(self._answer.raw, self._kind).astype(np.int32).reshape(1, -1)

    def close(self) -> None:
        self._check(self._library.CVMAPIFreeModel(self._handle))

    def _check(self, status: int) -> None:
        if status:
            raise RuntimeError(f"cvm-runtime answered {status}")


class CvmRuntime:
    name = "cvm-runtime"

    def missing(self) -> str:
        return "" if os.environ.get(VARIABLE) else f"{VARIABLE} is not set"

    def refuses(self, net: Net, batch: int) -> str:
        if net.name == "transformer":
            return "the official form has no transformer"
        return "" if batch == 1 else "one image at a time"

    def prepare(self, net: Net, batch: int) -> None:
        model_folder(net, OFFICIAL, batch)

    def load(self, net: Net, images: Images, threads: int) -> CvmRunner:
        return CvmRunner(net, images, threads)
