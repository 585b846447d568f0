"""Stratum's lines: JSON objects ended by a line feed (cortex-protocol §3)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError

from node.errors import SubmissionReason, SubmissionRefused

MAX_LINE_BYTES = 4096
MAX_WORKER_CHARACTERS = 64
ZERO_SEED = "0x" + "00" * 32
NEWS = 0
_EDGES = struct.Struct(">42I")
#: Error codes of refused shares, as stratum servers of other coins number them.
REFUSALS = {
    SubmissionReason.INVALID: 20,
    SubmissionReason.STALE: 21,
    SubmissionReason.DUPLICATE: 22,
    SubmissionReason.LOW_DIFFICULTY: 23,
}
BAD_REQUEST, NOT_LOGGED_IN, BAD_ADDRESS, LONG_WORKER, NO_METHOD, NO_WORK = 1, 2, 5, 6, -32601, 7

Ident = (
    Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[str, StringConstraints(max_length=64)]
    | None
)


class Request(BaseModel):
    """A miner's line; what more it says is passed over."""

    model_config = ConfigDict(frozen=True)
    id: Ident = None
    method: str = Field(max_length=64)
    params: list[Any] = Field(default=[], max_length=8)
    worker: str = ""


@dataclass(frozen=True)
class Solution:
    seal_hash: bytes
    nonce: int
    edges: tuple[int, ...]


class BadLine(Exception):
    """A line is no request; ``code`` is the error's in the reply."""

    def __init__(self, message: str, code: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.code = code


def read_request(line: bytes) -> Request:
    """Raises `BadLine`."""
    try:
        return Request.model_validate_json(line)
    except ValidationError as error:
        raise BadLine("a line is a JSON object with id, method and params") from error


def read_solution(params: list[Any]) -> Solution:
    """Of ctxc_submitWork: nonce (8 bytes, big-endian), seal hash, 42 edges of 4 bytes, big-endian.
    Raises `SubmissionRefused`."""
    if len(params) < 3:
        raise _malformed()
    nonce, seal_hash, edges = (
        _bytes(word, n) for word, n in zip(params, (8, 32, 168), strict=False)
    )
    return Solution(seal_hash, int.from_bytes(nonce, "big"), _EDGES.unpack(edges))


def _bytes(word: object, size: int) -> bytes:
    if not isinstance(word, str) or len(word) != 2 + 2 * size or word[:2] != "0x":
        raise _malformed()
    try:
        found = bytes.fromhex(word[2:])
    except ValueError as error:
        raise _malformed() from error
    if len(found) != size:  # bytes.fromhex passes over spaces
        raise _malformed()
    return found


def _malformed() -> SubmissionRefused:
    return SubmissionRefused(
        SubmissionReason.INVALID, "params are nonce, seal hash and solution, of 8, 32 and 168 bytes"
    )


def read_address(word: object) -> tuple[bytes, str]:
    """Account and worker of ``0x<40 hex>`` or ``0x<40 hex>.<worker>``. Raises `BadLine`."""
    address, _, worker = word.partition(".") if isinstance(word, str) else ("", "", "")
    try:
        found = bytes.fromhex(address[2:]) if address[:2] == "0x" else b""
    except ValueError:
        found = b""
    if len(found) != 20 or len(address) != 42:
        raise BadLine("invalid address; log in as 0x and 40 hex digits", BAD_ADDRESS)
    return found, check_worker(worker)


def check_worker(name: str) -> str:
    """Raises `BadLine`."""
    if len(name) > MAX_WORKER_CHARACTERS or not name.isprintable():
        raise BadLine(
            f"a worker's name is {MAX_WORKER_CHARACTERS} printable characters at most", LONG_WORKER
        )
    return name


def yes(ident: Ident) -> bytes:
    return b'{"id":%s,"jsonrpc":"2.0","result":true}\n' % _quote(ident)


def refuse(ident: Ident, code: int, message: str, result: bytes = b"null") -> bytes:
    text = _quote(message)
    return b'{"id":%s,"jsonrpc":"2.0","result":%s,"error":{"code":%d,"message":%s}}\n' % (
        *(_quote(ident), result, code, text),
    )


def refuse_share(ident: Ident, refused: SubmissionRefused) -> bytes:
    """``false``, as every pool says it, and why."""
    message = f"{refused.reason}: {refused}"
    return refuse(ident, REFUSALS[refused.reason], message, b"false")


def job(ident: Ident, seal_hash: bytes, target: int, height: int) -> bytes:
    """A piece of work; ``NEWS`` is the id of one that was not asked for."""
    return b'{"id":%s,"jsonrpc":"2.0","result":["0x%s","%s","0x%s","%s"]}\n' % (
        *(_quote(ident), seal_hash.hex().encode(), ZERO_SEED.encode()),
        *(b"%064x" % target, hex(height).encode()),
    )


def _quote(value: Ident) -> bytes:
    return b"%d" % value if type(value) is int else json.dumps(value).encode()
