"""Step 4: files into the storage layer, metadata and uploads on the chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from web3 import Web3

from farmctl.errors import Refused
from farmctl.tour.chain import WEI_PER_COIN, Wallet, mined
from farmctl.tour.convert import DigitsModel
from farmctl.tour.guide import Guide
from node.key import load_key
from node.models.card import attach_card, describe_graph
from node.models.metadata import describe_model
from node.spec.cvm import load
from node.spec.gas import UPLOAD_GAS, intrinsic_gas
from node.spec.meta import ModelMeta

#: What the author asks for each inference.
AUTHOR_GAS = 10_000
#: What author and customer are given to spend.
ALLOWANCE_WEI = WEI_PER_COIN
BLOCKS_SECONDS = 300.0


@dataclass(frozen=True)
class Accounts:
    """Who takes part: the farm pays out, the author publishes, the customer asks."""

    author: Wallet
    customer: Wallet


@dataclass(frozen=True)
class PublishedModel:
    address: str
    infohash: str
    accounts: Accounts


def open_accounts(guide: Guide) -> Accounts:
    """Accounts with keys of their own in the farm's home, funded from what the farm mined."""
    folder = guide.config.home / "tour"
    farm = Wallet(guide.chain, load_key(guide.config.home / "node" / "key"))
    accounts = Accounts(
        *(Wallet(guide.chain, load_key(folder / f"{name}.key")) for name in ("author", "customer"))
    )
    poor = [w for w in (accounts.author, accounts.customer) if w.balance() < ALLOWANCE_WEI // 2]
    if poor:
        needed = len(poor) * ALLOWANCE_WEI * 2

        def earned() -> bool | None:
            return farm.balance() >= needed or None

        guide.wait("the farm mines its first coins", earned, BLOCKS_SECONDS)
        sent = [farm.send(w.address, 21_000, value_wei=ALLOWANCE_WEI) for w in poor]
        wait_all(guide, "author and customer are funded", sent)
    return accounts


def publish_model(guide: Guide, model: DigitsModel) -> PublishedModel:
    accounts = open_accounts(guide)
    author = accounts.author
    meta = _describe_model(model, bytes.fromhex(author.address[2:]))
    client = guide.client
    files = {
        "symbol": client.put_file(model.symbol),
        "params": client.put_file(model.parameters),
    }
    infohash = client.post("/v1/storage", {"files": files})["infohash"]
    if infohash != meta.hash.hex():
        raise Refused(f"the storage names the model {infohash}, its metadata {meta.hash.hex()}")
    guide.note("model in the storage layer", f"infohash {infohash}")
    (address,) = create_metas(guide, author, [meta.encode()])
    guide.note("model on the chain", f"{address}, {AUTHOR_GAS} gas an inference for its author")
    upload_metas(guide, author, [address])
    return PublishedModel(address, infohash, accounts)


def _describe_model(model: DigitsModel, author: bytes) -> ModelMeta:
    """Metadata whose comment holds the model's card."""
    bare = describe_model(model.symbol, model.parameters, author=author, gas=AUTHOR_GAS)
    card = describe_graph(
        load(model.symbol, model.parameters),
        bare.hash,
        field="image classification",
        method="convolutional network, INT8",
        loss="cross-entropy",
        dataset="1,437 handwritten digits",
        prediction="score of each digit",
    )
    comment, _ = attach_card("digits CNN of the tour, INT8", card)
    return replace(bare, comment=comment.encode())


def create_metas(guide: Guide, wallet: Wallet, codes: Sequence[bytes]) -> list[str]:
    """The creation transactions (data 0001 or 0002, then the RLP); the contracts' addresses."""
    sent = [wallet.send(None, _creation_gas(code), code) for code in codes]
    receipts = wait_all(guide, f"{len(sent)} metadata in a block", sent)
    return [Web3.to_checksum_address(each["contractAddress"]) for each in receipts]


def upload_metas(guide: Guide, wallet: Wallet, addresses: Sequence[str]) -> None:
    """The upload transactions, until nothing is left to upload, and the wait for maturity."""
    left = list(addresses)
    while left:
        sent = [wallet.send(address, UPLOAD_GAS) for address in left]
        wait_all(guide, f"{len(sent)} upload transactions", sent)
        left = [a for a in left if int(_describe(guide, a)["upload"], 16)]

    def ripe() -> bool | None:
        return all(_describe(guide, address)["usable"] for address in addresses) or None

    guide.wait("maturity", ripe, BLOCKS_SECONDS)


def wait_all(guide: Guide, what: str, hashes: Sequence[str]) -> list[dict[str, Any]]:
    """Receipts of transactions in their order. Raises `Refused` where one has failed."""
    found: list[dict[str, Any]] = []

    def look() -> list[dict[str, Any]] | None:
        found[:] = mined(guide.chain, hashes)
        return found if len(found) == len(hashes) else None

    receipts = guide.wait(
        what, look, BLOCKS_SECONDS, lambda: (float(len(found)), float(len(hashes)))
    )
    failed = [each for each in receipts if each["status"] != 1]
    if failed:
        name = Web3.to_hex(failed[0]["transactionHash"])
        raise Refused(f"{len(failed)} of {len(receipts)} transactions failed, first {name}")
    return receipts


def _creation_gas(code: bytes) -> int:
    deposit = 20 * (len(code) + 64)  # the network adds the block's number to the metadata
    return intrinsic_gas(code, creates=True, uploads=False, istanbul=True) + deposit


def _describe(guide: Guide, address: str) -> dict[str, Any]:
    found: dict[str, Any] = guide.chain.call("ctxc_getModel", address)
    return found
