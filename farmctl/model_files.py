"""Files of models that the user names, and the errors of models in the user's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError
from farmctl.errors import BadRequest, NotFound
from farmctl.files import read_file, write_atomic
from node.models.fingerprint import fingerprint
from node.models.storage import PARAMETERS, SYMBOL
from node.mrt.errors import MrtError
from node.spec.cvm import CvmError, Graph, load


@contextmanager
def explained() -> Iterator[None]:
    """Errors of models, devices and missing extras as errors for a user."""
    try:
        yield
    except ImportError as error:
        raise NotFound(f"{error.name} is not installed; install farmctl[mrt]") from error
    except (CvmError, DriverError, MrtError) as error:
        raise BadRequest(str(error)) from error


def read_array(path: Path) -> NDArray[np.generic]:
    """One array of an ``.npy`` file. Raises `NotFound` or `BadRequest`."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error}") from error
    except (ValueError, EOFError) as error:
        raise BadRequest(f"{path} is no .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise BadRequest(f"{path} holds several arrays; give a .npy file of one")
    return array


def read_model(folder: Path) -> tuple[bytes, bytes]:
    """Symbol and parameters of a folder. Raises `NotFound`."""
    return read_file(folder / SYMBOL), read_file(folder / PARAMETERS)


def load_model(folder: Path) -> Graph:
    """The model of a folder, in either form. Raises `NotFound` or `BadRequest`."""
    try:
        return load(*read_model(folder), extended=True)
    except CvmError as error:
        raise BadRequest(f"{folder}: {error}") from error


def write_model(folder: Path, symbol: bytes, parameters: bytes) -> None:
    """A model's folder. Raises `StoreError`."""
    write_atomic(folder / SYMBOL, symbol)
    write_atomic(folder / PARAMETERS, parameters)


def describe_identity(graph: Graph) -> list[tuple[str, str]]:
    """Rows of what a model is, whatever its names and order are: equal hashes, equal models."""
    found = fingerprint(graph)
    return [
        ("graph hash", found.structure.hex()),
        ("architecture hash", found.architecture.hex()),
        ("weights hash", found.weights_hash.hex()),
    ]
