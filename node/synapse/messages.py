"""What a CortexTheseus node asks and is answered, to the byte (cortex-protocol §6).

An answer's HTTP status is 200 always. ``info`` is "ok" or "error", and the bytes are the result
or the error's text. Of the texts the node knows two alone: `LOGIC_ERROR` fails the call frame;
any other stops the block's import and leaves the block unjudged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

LOGIC_ERROR = "cvm kernel logic error"
RUNTIME_ERROR = "cvm kernel runtime error"
#: The official service's texts for what it cannot read.
UNKNOWN_TYPE = "unknown request property type"
UNREADABLE = "data parse error"
NOT_POSTED = "request method not POST"

_ADDRESS = re.compile(r"(?:0[xX])?([0-9a-fA-F]{40})")


class Unreadable(Exception):
    """The request is none that the protocol knows; its text is for the node's log."""


def read_infohash(value: object) -> bytes:
    """20 bytes, from hex in whatever case: nodes write an address's mixed one (EIP-55)."""
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("an infohash is 0x and 40 hex digits")
    return bytes.fromhex(found[1])


def read_hex(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("bytes are a string of hex digits")
    if value and value[:2] not in ("0x", "0X"):
        raise ValueError("hex begins with 0x")
    if not value.isascii() or any(space in value for space in " \t\n\r\f\v"):
        raise ValueError("hex has no spaces")
    return bytes.fromhex(value[2:])


Infohash = Annotated[bytes, BeforeValidator(read_infohash)]
Hex = Annotated[bytes, BeforeValidator(read_hex)]
Size = Annotated[int, Field(ge=0, lt=2**64)]


class _Work(BaseModel):
    """What is missing is zero, and what is unknown ignored, as the official service has it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())

    model: Infohash
    model_size: Size = Field(0, alias="modelSize")
    network_id: int = Field(0, alias="cvm_networkid", ge=-(2**63), lt=2**63)


class _Run(_Work):
    version: Literal[0, 1] = Field(0, alias="cvm_version")
    """1 from Istanbul on; both compute the same."""


class HashWork(_Run):
    """Run a model on an input, both named by infohash: an INFER."""

    type: Literal[1]
    input: Infohash
    input_size: Size = Field(0, alias="inputSize")


class ContentWork(_Run):
    """Run a model on bytes from a contract's storage: an INFERARRAY."""

    type: Literal[2]
    input: Hex


class GasWork(_Work):
    """Count the operations of a model's graph, from which the price of its use follows."""

    type: Literal[3]


Work = HashWork | ContentWork | GasWork


def _type_of(found: Any) -> str | None:
    """Of a request; ``true`` is no number here."""
    number = found.get("type") if isinstance(found, dict) else None
    return str(number) if type(number) is int else None


_FORMS: TypeAdapter[Work] = TypeAdapter(
    Annotated[
        Annotated[HashWork, Tag("1")]
        | Annotated[ContentWork, Tag("2")]
        | Annotated[GasWork, Tag("3")],
        Discriminator(
            _type_of, custom_error_type="type", custom_error_message="1, 2 and 3 are known"
        ),
    ]
)


def read_work(body: bytes | bytearray) -> Work:
    """Raises `Unreadable`."""
    try:
        return _FORMS.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if not first["loc"]:  # it got no further than the type
            raise Unreadable(f"{UNKNOWN_TYPE}: {first['msg']}") from error
        where = ".".join(str(part) for part in first["loc"][1:])
        raise Unreadable(f"{UNREADABLE}: {where}: {first['msg']}") from error


@dataclass(frozen=True)
class Reply:
    """``data`` is a result, or an error's text in ASCII."""

    data: bytes
    is_ok: bool = True

    def encode(self) -> bytes:
        info = b"ok" if self.is_ok else b"error"
        return b'{"data":"0x%b","info":"%b"}' % (self.data.hex().encode(), info)


def count_reply(operations: int) -> Reply:
    """A count of operations: 8 bytes, big-endian. With fewer the node's client would crash."""
    return Reply(operations.to_bytes(8, "big"))


def logic_fault() -> Reply:
    """The model or its input is at fault, the same on every node; nothing else may say this."""
    return Reply(LOGIC_ERROR.encode(), is_ok=False)


def outage(detail: str) -> Reply:
    """No result can be had now. The text is never `LOGIC_ERROR`, whatever ``detail`` says."""
    plain = detail.encode("ascii", "replace").decode()[:500]
    return Reply(f"{RUNTIME_ERROR}: {plain}".encode(), is_ok=False)
