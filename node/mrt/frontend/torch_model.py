"""Networks of torch, by way of ONNX: a module in this process, or a file of torch.export.

A ``.pt2`` file may hold pickled objects: load only files of people you trust.
"""

from __future__ import annotations

import logging
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from node.mrt.errors import MalformedTorch

if TYPE_CHECKING:
    import torch

_OPSET = 20
#: What torch raises over files that it did not write.
_UNREADABLE = (
    OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError,
    EOFError, zipfile.BadZipFile, pickle.UnpicklingError,
)  # fmt: skip


def read_exported(path: Path) -> bytes:
    """ONNX of a file that ``torch.export.save`` wrote.

    Raises:
        MalformedTorch: it is no such file, or torch cannot express it in ONNX.
    """
    import torch

    try:
        with _quiet():
            program = torch.export.load(path)
    except _UNREADABLE as error:
        raise MalformedTorch(f"{path.name} is no file of torch.export: {error}") from error
    return _to_onnx(program, None)


def export_module(module: torch.nn.Module, example: torch.Tensor) -> bytes:
    """ONNX of a module, for the shape of an example input.

    Raises:
        MalformedTorch: torch cannot trace it or express it in ONNX; the message says why.
    """
    return _to_onnx(module.eval(), (example,))


def _to_onnx(
    model: torch.nn.Module | torch.export.ExportedProgram, inputs: tuple[torch.Tensor] | None
) -> bytes:
    import torch

    try:
        with _quiet():
            made = torch.onnx.export(
                model, inputs or (), dynamo=True, opset_version=_OPSET, verbose=False
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise MalformedTorch(f"torch cannot express the model in ONNX: {error}") from error
    if made is None:
        raise MalformedTorch("torch made no ONNX of the model")
    content: bytes = made.model_proto.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch tells of itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
