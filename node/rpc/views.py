"""Blocks, transactions, receipts and logs as the JSON-RPC shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from node.rpc.forms import hexbytes, quantity
from node.spec.chain import Chain
from node.spec.transition import created_address
from node.spec.types import Block, Header, Log, Receipt, Transaction

Json = dict[str, Any]


def header_view(header: Header, total_difficulty: int | None) -> Json:
    return {
        **common_header_view(header),
        "totalDifficulty": None if total_difficulty is None else quantity(total_difficulty),
        "solution": list(header.solution),
        "quota": quantity(header.quota),
        "quotaUsed": quantity(header.quota_used),
        "supply": quantity(header.supply),
    }


def common_header_view(header: Header) -> Json:
    """The fields that every chain of this kind has, and no other: some clients know by them that
    a notification is of a header."""
    return {
        "number": quantity(header.number),
        "hash": hexbytes(header.hash()),
        "parentHash": hexbytes(header.parent_hash),
        "nonce": hexbytes(header.nonce),
        "mixHash": hexbytes(header.mix_hash),
        "sha3Uncles": hexbytes(header.uncles_hash),
        "logsBloom": hexbytes(header.bloom),
        "transactionsRoot": hexbytes(header.transactions_root),
        "stateRoot": hexbytes(header.state_root),
        "receiptsRoot": hexbytes(header.receipts_root),
        "miner": hexbytes(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "extraData": hexbytes(header.extra),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
    }


def block_view(chain: Chain, block: Block, total_difficulty: int | None, full: bool) -> Json:
    if full:
        transactions: list[Any] = [
            transaction_view(chain, t, block.header, i) for i, t in enumerate(block.transactions)
        ]
    else:
        transactions = [hexbytes(t.hash()) for t in block.transactions]
    return {
        **header_view(block.header, total_difficulty),
        "size": quantity(len(block.encode())),
        "transactions": transactions,
        "uncles": [hexbytes(u.hash()) for u in block.uncles],
    }


def transaction_view(
    chain: Chain, transaction: Transaction, header: Header | None, index: int | None
) -> Json:
    """``header`` and ``index`` are None while it is pending."""
    bound = transaction.chain_id
    return {
        "blockHash": hexbytes(header.hash()) if header else None,
        "blockNumber": quantity(header.number) if header else None,
        "transactionIndex": None if index is None else quantity(index),
        "hash": hexbytes(transaction.hash()),
        "from": hexbytes(transaction.sender(chain)),
        "to": hexbytes(transaction.to) if transaction.to else None,
        "nonce": quantity(transaction.nonce),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(transaction.gas_price),
        "value": quantity(transaction.value),
        "input": hexbytes(transaction.data),
        "type": "0x0",
        **({} if bound is None else {"chainId": quantity(bound)}),
        "v": quantity(transaction.v),
        "r": quantity(transaction.r),
        "s": quantity(transaction.s),
    }


@dataclass(frozen=True)
class PlacedLog:
    """A log with its place: block, transaction, and index within the block."""

    header: Header
    transaction_hash: bytes
    transaction_index: int
    index: int
    log: Log

    def view(self, removed: bool = False) -> Json:
        """``removed``: its block left the chain."""
        return {
            "address": hexbytes(self.log.address),
            "topics": [hexbytes(t) for t in self.log.topics],
            "data": hexbytes(self.log.data),
            "blockNumber": quantity(self.header.number),
            "blockHash": hexbytes(self.header.hash()),
            "transactionHash": hexbytes(self.transaction_hash),
            "transactionIndex": quantity(self.transaction_index),
            "logIndex": quantity(self.index),
            "removed": removed,
        }


def place_logs(block: Block, receipts: Sequence[Receipt]) -> Iterator[PlacedLog]:
    """Every log of a block, in order."""
    index = 0
    for position, (transaction, receipt) in enumerate(
        zip(block.transactions, receipts, strict=True)
    ):
        for log in receipt.logs:
            yield PlacedLog(block.header, transaction.hash(), position, index, log)
            index += 1


def receipt_view(chain: Chain, block: Block, receipts: Sequence[Receipt], index: int) -> Json:
    transaction, receipt = block.transactions[index], receipts[index]
    before = receipts[index - 1].cumulative_gas_used if index else 0
    sender = transaction.sender(chain)
    created = None if transaction.to else created_address(sender, transaction.nonce)
    return {
        "transactionHash": hexbytes(transaction.hash()),
        "transactionIndex": quantity(index),
        "blockHash": hexbytes(block.hash()),
        "blockNumber": quantity(block.header.number),
        "from": hexbytes(sender),
        "to": hexbytes(transaction.to) if transaction.to else None,
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "gasUsed": quantity(receipt.cumulative_gas_used - before),
        "effectiveGasPrice": quantity(transaction.gas_price),
        "contractAddress": hexbytes(created) if created else None,
        "logs": [p.view() for p in place_logs(block, receipts) if p.transaction_index == index],
        "logsBloom": hexbytes(receipt.bloom),
        "status": quantity(int(receipt.succeeded)),
        "type": "0x0",
    }
