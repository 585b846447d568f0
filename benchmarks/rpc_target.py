"""A node with a chain worth asking about, served as `farmctl node run` serves it: a token contract
and blocks of its transfers, mined on graphs of 2^10 edges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.node import CHAIN, KEY, Clock, mine, open_node
from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.rpc.settings import RpcSettings
from node.service import NodeService
from node.spec.crypto import keccak, private_address
from node.spec.transition import created_address
from node.spec.types import Block, Transaction

CODE = Path(__file__).parent / "contracts" / "token.hex"
OWNER = private_address(KEY)
TOKEN = created_address(OWNER, 0)
TRANSFER = keccak(b"transfer(address,uint256)")[:4]
BALANCE = keccak(b"balanceOf(address)")[:4]
TRANSFERRED = keccak(b"Transfer(address,address,uint256)")


@dataclass(frozen=True)
class Target:
    service: NodeService
    blocks: list[Block]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.service.rpc_port}"


def balance_call(account: bytes) -> dict[str, str]:
    """The parameter of an `eth_call`."""
    return {"to": "0x" + TOKEN.hex(), "data": "0x" + (BALANCE + account.rjust(32, b"\0")).hex()}


@asynccontextmanager
async def serve_chain(
    home: Path, blocks: int, transfers: int, settings: RpcSettings
) -> AsyncIterator[Target]:
    made = make_chain(home, blocks, transfers)
    loader = GraphLoader(DirectoryStorage(home / "models"))
    service = NodeService(
        CHAIN,
        home,
        loader,
        ReferenceEngine(loader),
        bytes(20),
        verify_cycle,
        rpc_port=0,
        rpc=settings,
    )
    await service.start()
    try:
        yield Target(service, made)
    finally:
        await service.stop()


def make_chain(home: Path, blocks: int, transfers: int) -> list[Block]:
    """The token's creation, then so many blocks of so many transfers each."""
    clock = Clock()
    node = open_node(home, clock)
    code = bytes.fromhex(CODE.read_text()) + (10**24).to_bytes(32, "big")
    made = [mine(node, clock, [_sign(0, None, code, 2_000_000)])]
    for number in range(blocks):
        first = 1 + number * transfers
        calls = (
            TRANSFER + n.to_bytes(32, "big") + (1).to_bytes(32, "big")
            for n in range(first, first + transfers)
        )
        sent = [_sign(first + n, TOKEN, call, 100_000) for n, call in enumerate(calls)]
        made.append(mine(node, clock, sent))
    node.close()
    return made


def _sign(nonce: int, to: bytes | None, data: bytes, gas: int) -> Transaction:
    return Transaction(nonce, 1, gas, to, 0, data).sign(KEY, CHAIN.chain_id)
