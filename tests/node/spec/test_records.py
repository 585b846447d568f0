"""Headers, receipts, accounts and meta contracts: one encoding each, and its refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.spec import rlp
from node.spec.bloom import logs_bloom, may_contain, merge_blooms
from node.spec.crypto import keccak
from node.spec.meta import InputMeta, ModelMeta, decode_meta
from node.spec.types import Account, Block, Header, Log, Receipt

MODEL = ModelMeta(b"digits", b"\xab" * 20, 10_000, (1, 28, 28), (10,), 1_000, b"\xcd" * 20, 10)
INPUT = InputMeta(b"", b"\xab" * 20, 784, (1, 28, 28), 0)
LOG = Log(b"\1" * 20, (b"\2" * 32, b"\3" * 32), b"data")


def test_a_block_comes_back_as_it_was(mainnet_block: Block) -> None:
    assert Block.decode(mainnet_block.encode()) == mainnet_block
    assert Header.decode(mainnet_block.header.encode()) == mainnet_block.header
    assert mainnet_block.header.solution[0] == 13_608_074


@pytest.mark.parametrize(
    ("index", "item"),
    [
        (0, bytes(31)),
        (2, bytes(21)),
        (6, bytes(255)),
        (7, b"\0\1"),
        (9, bytes([1]) * 9),
        (14, bytes(7)),
        (15, [b"\1"] * 41),
        (15, [b"\1"] * 41 + [bytes([1]) * 5]),
        (18, [b"\1"]),
    ],
)
def test_malformed_headers_are_refused(mainnet_block: Block, index: int, item: rlp.Item) -> None:
    items = mainnet_block.header.items()
    items[index] = item
    with pytest.raises(rlp.RlpError):
        Header.decode(rlp.encode(items))


def test_a_header_has_nineteen_fields(mainnet_block: Block) -> None:
    items = mainnet_block.header.items()
    for wrong in (items[:-1], [*items, b""]):
        with pytest.raises(rlp.RlpError):
            Header.decode(rlp.encode(wrong))


def test_receipts() -> None:
    receipt = Receipt(True, 21_000, logs_bloom([LOG]), (LOG,))
    assert Receipt.decode(receipt.encode()) == receipt
    failed = replace(receipt, succeeded=False, logs=())
    assert Receipt.decode(failed.encode()) == failed
    items = receipt.items()
    items[0] = b"\2"
    with pytest.raises(rlp.RlpError, match="status"):
        Receipt.decode(rlp.encode(items))


def test_blooms_hold_addresses_and_topics() -> None:
    bloom = logs_bloom([LOG])
    assert bloom.hex().count("0") < 512
    assert all(may_contain(bloom, entry) for entry in (LOG.address, *LOG.topics))
    assert not may_contain(bloom, b"\4" * 20)
    other = logs_bloom([replace(LOG, address=b"\4" * 20)])
    assert may_contain(merge_blooms([bloom, other]), b"\4" * 20)
    assert merge_blooms([]) == bytes(256)


def test_an_account_has_six_fields() -> None:
    account = Account(1, 2, keccak(b"root"), keccak(b"code"), 3, 4)
    assert Account.decode(account.encode()) == account
    with pytest.raises(rlp.RlpError):
        Account.decode(rlp.encode(rlp.decode_list(rlp.decode(account.encode()))[:4]))


@pytest.mark.parametrize("meta", [MODEL, INPUT])
def test_meta_contracts_come_back(meta: ModelMeta | InputMeta) -> None:
    assert decode_meta(meta.encode()) == meta


@pytest.mark.parametrize("meta", [MODEL, INPUT])
def test_malformed_meta_contracts_are_refused(meta: ModelMeta | InputMeta) -> None:
    code = meta.encode()
    fields = rlp.decode_list(rlp.decode(code[2:]))
    wrong = [code + b"\0", code[:-1], b"\0\3" + code[2:], code[:1], b""]
    wrong.append(code[:2] + rlp.encode([*fields, b""]))
    wrong.append(code[:2] + rlp.encode([fields[0], b"short", *fields[2:]]))
    wrong.append(code[:2] + rlp.encode([*fields[:2], bytes([1]) * 9, *fields[3:]]))
    for data in wrong:
        with pytest.raises(rlp.RlpError):
            decode_meta(data)
