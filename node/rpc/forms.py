"""JSON forms of values: quantities are ``0x`` hex without leading zeros, bytes ``0x`` hex pairs."""

from __future__ import annotations

import re
from typing import Any

from node.rpc.errors import InvalidParams

_QUANTITY = re.compile(r"^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})$")
_BYTES = re.compile(r"^0x([0-9a-fA-F]{2})*$")


def quantity(value: int) -> str:
    return hex(value)


def hexbytes(value: bytes) -> str:
    return "0x" + value.hex()


def parse_quantity(value: Any, name: str = "quantity") -> int:
    """Leading zeros are accepted, as other nodes do for values from wallets."""
    if isinstance(value, str) and (_QUANTITY.match(value) or re.match(r"^0x0[0-9a-f]+$", value)):
        return int(value, 16)
    raise InvalidParams(f"{name}: expected a hex quantity such as 0x1, not {_brief(value)}")


def parse_bytes(value: Any, size: int | None = None, name: str = "value") -> bytes:
    if not isinstance(value, str) or not _BYTES.match(value):
        raise InvalidParams(f"{name}: expected 0x and pairs of hex digits, not {_brief(value)}")
    found = bytes.fromhex(value[2:])
    if size is not None and len(found) != size:
        raise InvalidParams(f"{name}: expected {size} bytes, not {len(found)}")
    return found


def parse_address(value: Any, name: str = "address") -> bytes:
    return parse_bytes(value, 20, name)


def parse_hash(value: Any, name: str = "hash") -> bytes:
    return parse_bytes(value, 32, name)


def parse_flag(value: Any, name: str = "flag") -> bool:
    if not isinstance(value, bool):
        raise InvalidParams(f"{name}: expected true or false, not {_brief(value)}")
    return value


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
