"""The zoo's files: ONNX and integer models, kept in a cache folder outside the repository.

The folder is ``FARMCTL_ZOO``, else ``farmctl/zoo`` in the user's cache folder. A net's files are
made anew when the code that makes them has changed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

import benchmarks.zoo
import node.mrt
from benchmarks.zoo.catalogue import Net

SAMPLE_SEED, SAMPLES = 7, 4
OPSET = 20
#: Modules of this package whose change leaves the nets as they were.
_NOT_NETS = {"catalogue.py", "files.py", "integers.py", "__init__.py"}


def onnx_file(net: Net) -> Path:
    """The float net with an open batch; its input is ``image``, its output ``scores``."""
    return keep(_folder(net, benchmarks.zoo) / "net.onnx", functools.partial(_export, net))


def converted_folder(net: Net, name: str) -> Path:
    """Where an integer model of the net is kept, for this state of the converter."""
    return _folder(net, benchmarks.zoo, node.mrt) / name


def peer_file(net: Net, name: str) -> Path:
    """Where a peer's form of the net is kept."""
    return _folder(net, benchmarks.zoo) / name


def samples(net: Net) -> NDArray[np.float32]:
    """Images to calibrate on, (n, channels, height, width)."""
    from benchmarks.zoo.weights import random_images

    return random_images(net.shape, SAMPLES, SAMPLE_SEED)


def keep(path: Path, make: Callable[[Path], None]) -> Path:
    """The path, made first if it is not there: whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            make(Path(folder) / path.name)
            os.replace(Path(folder) / path.name, path)
    return path


def root() -> Path:
    if chosen := os.environ.get("FARMCTL_ZOO"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "farmctl" / "zoo"


def _folder(net: Net, *packages: ModuleType) -> Path:
    """Of the present code; folders of the code as it was are removed."""
    digest = "-".join(digest_package(package) for package in packages)
    folder = root() / net.name / str(len(packages)) / digest
    if not folder.exists():
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder


@functools.cache
def digest_package(package: ModuleType) -> str:
    """Of the source of a package."""
    found = hashlib.sha256()
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        if path.name not in _NOT_NETS:
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _export(net: Net, path: Path) -> None:
    import torch

    from benchmarks.zoo.weights import SEED, fill, random_images

    torch.manual_seed(SEED)
    module = net.build()
    fill(module, net.shape)
    torch.onnx.export(
        module,
        (torch.from_numpy(random_images(net.shape, 2, SEED)),),
        path,
        input_names=["image"],
        output_names=["scores"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        dynamic_shapes=({0: "batch"},),
        verbose=False,
    )
