"""Errors of the model representation tool.

MrtError
├── MalformedOnnx          the file is no ONNX model, or one with impossible shapes
├── MalformedTorch         the file is none of torch.export, or cannot become ONNX
├── UnsupportedOperator    an operator, or a form of it, that has no integer counterpart here
├── TooLarge               the integer model is beyond what a node loads
└── CalibrationFailed      the calibration data do not fit the model or say nothing of a layer
"""

from __future__ import annotations


class MrtError(Exception):
    """A model cannot be converted."""


class MalformedOnnx(MrtError):
    """The file is no ONNX model that can be read."""


class MalformedTorch(MrtError):
    """A torch model that cannot be read or expressed in ONNX."""


class UnsupportedOperator(MrtError):
    """An operator that cannot be converted; the message names it and its node."""

    def __init__(self, operator: str, node: str, reason: str) -> None:
        super().__init__(f"node {node!r}: {operator} {reason}")
        self.operator = operator
        self.reason = reason


class TooLarge(MrtError):
    """The integer model is beyond what a node loads."""


class CalibrationFailed(MrtError):
    """The calibration data do not fit the model."""
