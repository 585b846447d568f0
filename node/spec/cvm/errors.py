"""Errors of the Cortex Virtual Machine.

CvmError
├── CvmLoadError   the symbol or the parameters are not a valid model
└── CvmRunError    the model cannot run this input

``logic`` tells the official runtime's two kinds apart: True is its ERROR_LOGIC (the model or the
input is at fault), False its ERROR_RUNTIME.
"""

from __future__ import annotations


class CvmError(Exception):
    """A model cannot be loaded or run."""

    def __init__(self, message: str, *, logic: bool = True) -> None:
        super().__init__(message)
        self.logic = logic


class CvmLoadError(CvmError):
    """The symbol or the parameters are not a valid model."""


class CvmRunError(CvmError):
    """The model cannot run this input."""


def require(condition: bool, message: str) -> None:
    """Refuse a model that breaks a rule (the runtime's ERROR_LOGIC)."""
    if not condition:
        raise CvmLoadError(message)


def require_form(condition: bool, message: str) -> None:
    """Refuse a model whose bytes are malformed (the runtime's ERROR_RUNTIME)."""
    if not condition:
        raise CvmLoadError(message, logic=False)
