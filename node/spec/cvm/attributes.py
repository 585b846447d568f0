"""Operator attributes: strings in the symbol, checked and typed here.

The forms accepted are those of the official runtime: integers in base ten, flags as true, false,
1 or 0, shapes as ``(1, 2)``, ``[1, 2]`` or one bare number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from node.spec.cvm.errors import CvmLoadError, require, require_form

#: Range of an attribute that has none of its own.
MINIMUM, MAXIMUM = 0, 4096

Value = int | str | None | tuple[int, ...]

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_TUPLE = re.compile(
    r"\s*[(\[]\s*(-?[0-9]+L?\s*(,\s*-?[0-9]+L?\s*)*(,\s*)?)?[)\]]\s*",
    re.ASCII,
)
_FLAGS = {"true": 1, "1": 1, "false": 0, "0": 0}
_DIGITS_LIMIT = 20


class Kind(Enum):
    INTEGER = "integer"
    FLAG = "flag"
    SHAPE = "shape"
    TEXT = "text"
    OPTIONAL_INTEGER = "optional integer"


class _Required:
    """Marks a field without a default."""


REQUIRED = _Required()


@dataclass(frozen=True)
class Field:
    """One attribute of an operator. ``minimum`` is a bound checked while parsing."""

    kind: Kind
    default: Value | _Required = REQUIRED
    minimum: int | None = None


class Attributes:
    """The typed attributes of one node."""

    def __init__(self, operator: str, values: Mapping[str, Value]) -> None:
        self.operator = operator
        self.values = dict(values)

    def integer(self, name: str) -> int:
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def flag(self, name: str) -> bool:
        return bool(self.integer(name))

    def shape(self, name: str) -> tuple[int, ...]:
        value = self.values[name]
        assert isinstance(value, tuple)
        return value

    def text(self, name: str) -> str:
        value = self.values[name]
        assert isinstance(value, str)
        return value

    def optional_integer(self, name: str) -> int | None:
        return None if self.values[name] is None else self.integer(name)

    def ranged(self, name: str, minimum: int = MINIMUM, maximum: int = MAXIMUM) -> int:
        """The integer ``name``, refused outside ``minimum``…``maximum``."""
        value = self.integer(name)
        require_range(f"{self.operator}.{name}", value, minimum, maximum)
        return value

    def axis(self, dimensions: int) -> int:
        """The attribute ``axis``, counted from the front."""
        return self.ranged("axis", -dimensions, dimensions - 1) % dimensions

    def pair(self, name: str, minimum: int = MINIMUM, maximum: int = MAXIMUM) -> tuple[int, int]:
        """The two numbers of ``name`` (height, width), each refused outside its range."""
        value = self.shape(name)
        require(len(value) == 2, f"{self.operator}.{name} must have 2 numbers, not {len(value)}")
        for number in value:
            require_range(f"{self.operator}.{name}", number, minimum, maximum)
        return value[0], value[1]


def require_range(name: str, value: int, minimum: int = MINIMUM, maximum: int = MAXIMUM) -> None:
    require(minimum <= value <= maximum, f"{name} is {value}, outside {minimum}…{maximum}")


def parse_attributes(
    operator: str, fields: Mapping[str, Field], raw: Mapping[str, str]
) -> Attributes:
    """Type the string attributes of one node.

    Raises:
        CvmLoadError: an attribute is unknown, missing or malformed.
    """
    if not fields:
        require(not raw, f"{operator} has no attributes, but {sorted(raw)} are given")
    unknown = [name for name in raw if name not in fields and not _is_hidden(name)]
    require_form(not unknown, f"{operator} has no attribute {unknown}")
    values = {name: _read(operator, name, field, raw.get(name)) for name, field in fields.items()}
    return Attributes(operator, values)


def _is_hidden(name: str) -> bool:
    """The official parser ignores ``__name__``."""
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def _read(operator: str, name: str, field: Field, text: str | None) -> Value:
    if text is None:
        if isinstance(field.default, _Required):
            raise CvmLoadError(f"{operator} needs the attribute {name}", logic=False)
        return field.default
    value = _parse(field.kind, text)
    require_form(
        value is not _MALFORMED, f"{operator}.{name}: {text[:80]!r} is no {field.kind.value}"
    )
    if field.minimum is not None:
        assert isinstance(value, int)
        require_form(value >= field.minimum, f"{operator}.{name} is below {field.minimum}")
    assert not isinstance(value, _Required)
    return value


_MALFORMED = _Required()


def _parse(kind: Kind, text: str) -> Value | _Required:
    if kind is Kind.TEXT:
        return text
    if kind is Kind.FLAG:
        return _FLAGS.get(text.lower(), _MALFORMED)
    if kind is Kind.SHAPE:
        return _parse_shape(text)
    if kind is Kind.OPTIONAL_INTEGER and text.strip() == "None":
        return None
    return _parse_integer(text, 32)


def _parse_integer(text: str, bits: int) -> int | _Required:
    if len(text.strip()) > _DIGITS_LIMIT or not _INTEGER.fullmatch(text):
        return _MALFORMED
    value = int(text)
    limit = 1 << (bits - 1)
    return value if -limit <= value < limit else _MALFORMED


def _parse_shape(text: str) -> tuple[int, ...] | _Required:
    bare = _parse_integer(text, 64)
    if isinstance(bare, int):
        return (bare,)
    if len(text) > 4096 or not _TUPLE.fullmatch(text):
        return _MALFORMED
    numbers = [_parse_integer(part, 64) for part in re.findall(r"-?[0-9]+", text)]
    values = tuple(number for number in numbers if isinstance(number, int))
    return values if len(values) == len(numbers) else _MALFORMED
