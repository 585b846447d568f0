"""The remote client of a CortexTheseus node, as strict as the official one.

It knows a result, `LogicError` (the call frame fails) and `RuntimeError_` (block import stops);
anything that it cannot read is the latter, and a short gas reply kills the node.
"""

from __future__ import annotations

import http.client
import json
import re
from typing import Any, Self

from eth_utils.address import to_checksum_address

TIMEOUT_SECONDS = 15.0
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "Accept": "application/json; charset=utf-8",
}
_HEX = re.compile(r"0[xX](?:[0-9a-fA-F]{2})*")


class LogicError(Exception):
    """cvm kernel logic error"""


class RuntimeError_(Exception):
    """cvm kernel runtime error"""


class NodeCrashed(AssertionError):
    """binary.BigEndian.Uint64 panics on fewer than 8 bytes."""


class GoClient:
    """One connection that is kept alive."""

    def __init__(self, port: int, host: str = "127.0.0.1", network_id: int = 21) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._network_id = network_id
        self.raw = b""
        """The last answer's body."""

    def infer_by_hash(self, model: bytes, input_hash: bytes, version: int = 1) -> bytes:
        return self.send(
            {
                "type": 1,
                "model": to_checksum_address(model),
                "input": to_checksum_address(input_hash),
                "modelSize": 1000,
                "inputSize": 100,
                "cvm_version": version,
                "cvm_networkid": self._network_id,
            }
        )

    def infer_by_content(self, model: bytes, content: bytes, version: int = 1) -> bytes:
        return self.send(
            {
                "type": 2,
                "model": to_checksum_address(model),
                "input": "0x" + content.hex(),
                "modelSize": 1000,
                "cvm_version": version,
                "cvm_networkid": self._network_id,
            }
        )

    def gas(self, model: bytes) -> int:
        found = self.send(
            {
                "type": 3,
                "model": to_checksum_address(model),
                "modelSize": 1000,
                "cvm_networkid": self._network_id,
            }
        )
        if len(found) < 8:
            raise NodeCrashed(found.hex())
        return int.from_bytes(found[:8], "big")

    def send(self, work: Any) -> bytes:
        return self.send_body(json.dumps(work, separators=(",", ":")).encode())

    def send_body(self, body: bytes) -> bytes:
        try:
            self._connection.request("POST", "/infer", body, _HEADERS)
            answer = self._connection.getresponse()
            self.raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise RuntimeError_(f"request response failed: {error!r}") from error
        if answer.status != 200:
            raise RuntimeError_(f"status code {answer.status}")
        return self._read(self.raw)

    def _read(self, body: bytes) -> bytes:
        try:
            found = json.loads(body)
            data, info = found["data"], found["info"]
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeError_(f"response json parsed failed: {error}") from error
        if not isinstance(info, str) or not isinstance(data, str) or not _HEX.fullmatch(data):
            raise RuntimeError_("response json parsed failed: not of its types")
        content = bytes.fromhex(data[2:])
        if info == "ok":
            return content
        text = content.decode("latin-1")
        raise LogicError if text == "cvm kernel logic error" else RuntimeError_(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
