"""Grin's stratum as a pool speaks it: JSON objects ended by a line feed.

Source: Grin, doc/stratum.md and servers/src/mining/stratumserver.rs.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError

from node.errors import SubmissionReason, SubmissionRefused
from node.stratum.wire import MAX_WORKER_CHARACTERS

MAX_PROOF_EDGES = 64
NEWS = "Stratum"
NO_WORK, LOGIN_FIRST, BAD_REQUEST, NO_METHOD = -32000, -32500, -32600, -32601
#: Grin's codes; a duplicate has none of its own there.
REFUSALS = {
    SubmissionReason.LOW_DIFFICULTY: (-32501, "Share rejected due to low difficulty"),
    SubmissionReason.INVALID: (-32502, "Failed to validate solution"),
    SubmissionReason.DUPLICATE: (-32502, "Failed to validate solution: sent before"),
    SubmissionReason.STALE: (-32503, "Solution submitted too late"),
}

Ident = (
    Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[str, StringConstraints(max_length=64)]
    | None
)
Unsigned = Annotated[StrictInt, Field(ge=0, lt=2**64)]
Name = Annotated[str, StringConstraints(max_length=4 * MAX_WORKER_CHARACTERS)]


class Request(BaseModel):
    model_config = ConfigDict(frozen=True)
    id: Ident = None
    method: str = Field(max_length=64)
    params: dict[str, Any] | None = None


class Login(BaseModel):
    model_config = ConfigDict(frozen=True)
    login: Name
    agent: Name = ""


class Solution(BaseModel):
    model_config = ConfigDict(frozen=True)
    height: Unsigned
    job_id: Unsigned
    nonce: Unsigned
    edge_bits: Unsigned | None = None
    """Older miners leave it out."""
    pow: tuple[Unsigned, ...] = Field(max_length=MAX_PROOF_EDGES)


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
        raise BadLine("Invalid Request") from error


def read_login(params: dict[str, Any] | None) -> Login:
    """Raises `BadLine`."""
    try:
        found = Login.model_validate(params)
    except ValidationError as error:
        raise BadLine("Invalid Request: login takes login, pass and agent") from error
    if not found.login or not found.login.isprintable():
        raise BadLine("Invalid Request: a login is printable and not empty", LOGIN_FIRST)
    return found


def read_solution(params: dict[str, Any] | None) -> Solution:
    """Raises `SubmissionRefused`."""
    try:
        return Solution.model_validate(params)
    except ValidationError as error:
        raise SubmissionRefused(
            SubmissionReason.INVALID, "params are height, job_id, nonce, edge_bits and pow"
        ) from error


def answer(request: Request, result: Any) -> bytes:
    return _line(request.id, request.method, result=result, error=None)


def refuse(ident: Ident, method: str, code: int, message: str) -> bytes:
    error = {"code": code, "message": message}
    return _line(ident, method, result=None, error=error)


def refuse_share(request: Request, refused: SubmissionRefused) -> bytes:
    return refuse(request.id, request.method, *REFUSALS[refused.reason])


def news(job: dict[str, Any]) -> bytes:
    """A job that was not asked for."""
    return _line(NEWS, "job", params=job)


def _line(ident: Ident, method: str, **rest: Any) -> bytes:
    said = {"id": ident, "jsonrpc": "2.0", "method": method, **rest}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"
