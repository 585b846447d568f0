"""The node's JSON-RPC by web3.py, as any client would use it; the only importer of web3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from web3 import HTTPProvider, Web3
from web3.exceptions import TransactionNotFound, Web3Exception
from web3.types import RPCEndpoint

from farmctl.errors import Refused, Unavailable

TIMEOUT_SECONDS = 20.0
GWEI = 10**9
WEI_PER_COIN = 10**18


class ChainClient:
    """Raises `Unavailable` when the node does not answer, `Refused` when it refuses."""

    def __init__(self, url: str) -> None:
        settings = {"timeout": TIMEOUT_SECONDS}
        self.web3 = Web3(HTTPProvider(url, request_kwargs=settings))

    def call(self, method: str, *parameters: Any) -> Any:
        """A method that web3.py does not know, such as ``ctxc_getModel``."""
        try:
            answer = self.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        except (RequestException, OSError) as error:
            raise Unavailable(f"the node does not answer: {error}") from error
        if "error" in answer:
            raise Refused(f"the node refuses {method}: {answer['error']}")
        return answer["result"]

    def balance(self, address: str) -> int:
        """In wei."""
        return self.web3.eth.get_balance(Web3.to_checksum_address(address))

    def receipt(self, transaction: str) -> dict[str, Any] | None:
        """None while the transaction is in no block."""
        try:
            return dict(self.web3.eth.get_transaction_receipt(_hex(transaction)))
        except TransactionNotFound:
            return None


@dataclass
class Wallet:
    """An account that sends transactions, each with the next nonce."""

    chain: ChainClient
    key: bytes
    gas_price_wei: int = GWEI

    def __post_init__(self) -> None:
        self.account: LocalAccount = Account.from_key(self.key)

    @property
    def address(self) -> str:
        return self.account.address

    def balance(self) -> int:
        return self.chain.balance(self.address)

    def send(self, to: str | None, gas: int, data: bytes = b"", value_wei: int = 0) -> str:
        """Sign and send; the transaction's hash. ``to`` None creates a contract."""
        eth = self.chain.web3.eth
        try:
            fields: dict[str, Any] = {
                "nonce": eth.get_transaction_count(self.account.address, "pending"),
                "gasPrice": max(eth.gas_price, self.gas_price_wei),
                "gas": gas,
                "value": value_wei,
                "data": data,
                "chainId": eth.chain_id,
            }
            if to is not None:
                fields["to"] = to
            signed = self.account.sign_transaction(fields)
            return Web3.to_hex(eth.send_raw_transaction(signed.raw_transaction))
        except Web3Exception as error:
            raise Refused(f"the node refuses the transaction: {error}") from error
        except RequestException as error:
            raise Unavailable(f"the node does not answer: {error}") from error


def mined(chain: ChainClient, hashes: Sequence[str]) -> list[dict[str, Any]]:
    """Receipts of those transactions that are in a block by now."""
    return [found for each in hashes if (found := chain.receipt(each)) is not None]


def _hex(text: str) -> Any:
    return Web3.to_bytes(hexstr=text)  # type: ignore[arg-type]
