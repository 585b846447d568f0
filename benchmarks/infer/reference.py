"""What the integer models answer by the numpy reference, computed once for each image."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines.base import Images
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import converted_folder, keep
from benchmarks.zoo.integers import Variant, quantise_images, read_graph
from node.spec.cvm.execution import compute_heads


def expected_scores(net: Net, variant: Variant, images: Images) -> NDArray[np.int32]:
    """(n, classes)."""
    return np.stack([_one(net, variant, image) for image in quantise_images(net, images)])


def _one(net: Net, variant: Variant, image: NDArray[np.int32]) -> NDArray[np.int32]:
    name = f"{variant.name}-{hashlib.sha256(image.tobytes()).hexdigest()[:12]}.npy"
    path = keep(converted_folder(net, name), functools.partial(_compute, net, variant, image))
    answer: NDArray[np.int32] = np.load(path)
    return answer


def _compute(net: Net, variant: Variant, image: NDArray[np.int32], path: Path) -> None:
    head = next(iter(compute_heads(read_graph(net, variant), image[np.newaxis])))
    np.save(path, head.ravel().astype(np.int32))
