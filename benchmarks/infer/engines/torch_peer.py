"""torch's int8 (graph mode, x86 backend, traced and frozen).

Its newer route (pt2e and inductor) was tried and is slower on these nets: ResNet-50 24.6 ms
against 23.3, SqueezeNet 4.1 against 3.0.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images, missing_package
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import keep, peer_file, samples


class TorchRunner:
    def __init__(self, path: Path, images: Images, threads: int) -> None:
        import torch

        torch.backends.quantized.engine = "x86"
        self._module = torch.jit.load(str(path))
        self._images, self._threads = torch.from_numpy(images), threads

    def run(self) -> NDArray[np.float32]:
        import torch

        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            found: NDArray[np.float32] = self._module(self._images).numpy()
        return found

    def close(self) -> None:
        del self._module


class TorchInt8:
    name = "torch"

    def missing(self) -> str:
        return missing_package("torch")

    def refuses(self, net: Net, batch: int) -> str:
        return "has no int8 attention in graph mode" if net.name == "transformer" else ""

    def prepare(self, net: Net, batch: int) -> None:
        self._file(net)

    def load(self, net: Net, images: Images, threads: int) -> TorchRunner:
        return TorchRunner(self._file(net), images, threads)

    def _file(self, net: Net) -> Path:
        return keep(peer_file(net, "torch.pt"), functools.partial(_quantise, net))


def _quantise(net: Net, path: Path) -> None:
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping, quantize_fx

    from benchmarks.zoo.weights import fill

    torch.backends.quantized.engine = "x86"
    module, images = net.build(), torch.from_numpy(samples(net))
    fill(module, net.shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        mapping = get_default_qconfig_mapping("x86")
        prepared = quantize_fx.prepare_fx(module, mapping, (images[:1],))
        prepared(images)
        quantised = quantize_fx.convert_fx(prepared)
        torch.jit.freeze(torch.jit.trace(quantised, images[:1])).save(str(path))
