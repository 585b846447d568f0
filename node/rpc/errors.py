"""Errors of the JSON-RPC, with their codes.

RpcError
├── ParseError          -32700  not JSON
├── InvalidRequest      -32600  JSON, but no request; or over a limit
├── MethodNotFound      -32601
├── InvalidParams       -32602
├── ServerError         -32000  the node cannot do it (nonce too low, no work yet …)
├── ResourceNotFound    -32001
├── Overloaded          -32005  too many requests at once
└── Reverted                 3  execution reverted; ``data`` is what the contract returned
"""

from __future__ import annotations

from typing import Any


class RpcError(Exception):
    """The request failed."""

    code = -32603

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.data = data

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": str(self)}
        return body if self.data is None else {**body, "data": self.data}


class ParseError(RpcError):
    """Not JSON."""

    code = -32700


class InvalidRequest(RpcError):
    """Not a request, or over a limit."""

    code = -32600


class MethodNotFound(RpcError):
    """There is no such method."""

    code = -32601


class InvalidParams(RpcError):
    """The parameters make no sense."""

    code = -32602


class ServerError(RpcError):
    """The node cannot do this."""

    code = -32000


class ResourceNotFound(RpcError):
    """There is no such block, filter or file."""

    code = -32001


class Overloaded(RpcError):
    """Too many requests at once; try again."""

    code = -32005


class Reverted(RpcError):
    """The execution was reverted."""

    code = 3
