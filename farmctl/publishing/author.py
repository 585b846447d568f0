"""An account that publishes: its key, and the node's JSON-RPC by which it sends."""

from __future__ import annotations

import itertools
import time
from typing import Any

import httpx

from farmctl.errors import Refused, Unavailable
from node.spec.crypto import private_address
from node.spec.transaction import Transaction

TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.25
MINED_SECONDS = 900.0


class Author:
    """Signs with ``key`` (32 bytes); ``poll_seconds`` lie between two looks. Raises `Unavailable`
    when the node does not answer, `Refused` when it refuses."""

    def __init__(self, url: str, key: bytes, poll_seconds: float = POLL_SECONDS) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._ids = itertools.count(1)
        self._key = key
        self.poll_seconds = poll_seconds
        self.address = private_address(key)

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, *parameters: Any) -> Any:
        body = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": list(parameters),
        }
        try:
            answer = self._client.post("/", json=body).json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the node does not answer: {error}; is the farm up?") from error
        if "error" in answer:
            raise Refused(f"the node refuses {method}: {answer['error'].get('message')}")
        return answer["result"]

    def count(self, method: str, *parameters: Any) -> int:
        """A quantity."""
        return int(self.call(method, *parameters), 16)

    def balance(self) -> int:
        """In wei."""
        return self.count("eth_getBalance", _hex(self.address), "latest")

    def sign(self, to: bytes | None, gas: int, data: bytes = b"") -> Transaction:
        """A transaction of no value with the account's next nonce. Raises `Refused` where the
        account cannot pay for it."""
        price = self.count("eth_gasPrice")
        short = gas * price - self.balance()
        if short > 0:
            raise Refused(f"{_hex(self.address)} lacks {short} wei for this; send it some coins")
        nonce = self.count("eth_getTransactionCount", _hex(self.address), "pending")
        unsigned = Transaction(nonce, price, gas, to, 0, data)
        return unsigned.sign(self._key, self.count("eth_chainId"))

    def send(self, transaction: Transaction) -> None:
        """Sent again it changes nothing, whether it waits or is in a block."""
        try:
            self.call("eth_sendRawTransaction", _hex(transaction.encode()))
        except Refused:
            if self.call("eth_getTransactionByHash", _hex(transaction.hash())) is None:
                raise

    def find_receipt(self, transaction: Transaction) -> dict[str, Any] | None:
        """None while it is in no block; `Refused` where it failed there."""
        found: dict[str, Any] | None = self.call(
            "eth_getTransactionReceipt", _hex(transaction.hash())
        )
        if found is not None and found["status"] != "0x1":
            raise Refused(f"transaction {_hex(transaction.hash())} failed in its block")
        return found

    def await_receipt(self, transaction: Transaction) -> dict[str, Any]:
        """Raises `Unavailable` where no block takes it in time."""
        deadline = time.monotonic() + MINED_SECONDS
        while (found := self.find_receipt(transaction)) is None:
            if time.monotonic() > deadline:
                text = f"no block takes {_hex(transaction.hash())}; is anybody mining?"
                raise Unavailable(text)
            time.sleep(self.poll_seconds)
        return found


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
