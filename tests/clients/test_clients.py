"""ethers and viem, unmodified, against a node that mines: the scripts beside this file."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farmctl.tour.contract import classifier
from node.models.input_file import write_input
from node.models.metadata import describe_input, describe_model
from node.spec.transition import created_address
from tests.node.rpc.running import Running, run_service
from tests.node.workshop import AUTHOR, CHAIN, POOR, RICH, RICH_KEY, dense_model, sign

FOLDER = Path(__file__).parent
SECONDS = 90.0
VALUES = np.array([1, -2, 3, -4, 5, -6], np.int8)
#: Of the three scores -35, -21 and 3 that the model gives.
BEST = 2
CHECKS = [
    "network and account",
    "a payment",
    "a contract's state and events",
    "reverts say why",
    "refused transactions have their {}",
    "blocks",
    "an inference",
]


@pytest.fixture
def node_program() -> str:
    program = shutil.which("node")
    if program is None or not (FOLDER / "node_modules").is_dir():
        pytest.skip("ethers and viem are not installed; `make test` installs them")
    return program


class Publisher:
    """Puts a model, an input and a contract that uses both on the chain."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._node = running.service.node
        self._nonce = 0

    async def publish(self) -> dict[str, Any]:
        storage = self._node.loader.storage
        storage.put_model(*dense_model())
        storage.put_input(write_input(VALUES))
        meta = describe_model(*dense_model(), author=AUTHOR, gas=1000, comment="dense")
        model = self._create(meta.encode())
        data = self._create(describe_input(write_input(VALUES)).encode())
        await self._mine(2)
        for address in (model, data):
            self._send(address)
        code = classifier(3, 4)
        start = bytes([0x60, len(code), 0x60, 12, 0x60, 0, 0x39, 0x60, len(code), 0x60, 0, 0xF3])
        contract = self._create(start + code)
        await self._mine(1)
        found = {"model": model, "input": data, "classifier": contract}
        return {name: "0x" + address.hex() for name, address in found.items()}

    def _send(self, to: bytes | None, data: bytes = b"") -> None:
        self._node.send(sign(self._nonce, to, data=data, gas=400_000))
        self._nonce += 1

    def _create(self, data: bytes) -> bytes:
        address = created_address(RICH, self._nonce)
        self._send(None, data)
        return address

    async def _mine(self, blocks: int) -> None:
        for _ in range(blocks):
            await self._running.mine()


@asynccontextmanager
async def mining(running: Running) -> AsyncIterator[None]:
    """A block soon after a transaction, and one a second without: clients that have just missed
    a block wait for the next."""

    async def mine() -> None:
        node = running.service.node
        while True:
            for _ in range(10):
                await asyncio.sleep(0.1)
                if any(True for _ in node.mempool.ready(node.state_at(node.head()), set())):
                    break
            await running.mine()

    task = asyncio.create_task(mine())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def run_script(program: str, name: str, setup: dict[str, Any]) -> list[str]:
    """What the script says it has checked."""
    process = await asyncio.create_subprocess_exec(
        *(program, str(FOLDER / name)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            told, failed = await process.communicate(json.dumps(setup).encode())
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, failed.decode()[-4000:]
    checks: list[str] = json.loads(told)
    return checks


@pytest.mark.parametrize(("script", "refusal"), [("ethers.mjs", "codes"), ("viem.mjs", "errors")])
async def test_a_client_needs_to_know_nothing_of_this_chain(
    tmp_path: Path, node_program: str, script: str, refusal: str
) -> None:
    async with run_service(tmp_path) as running:
        setup = {
            **json.loads((FOLDER / "box.json").read_text()),
            **await Publisher(running).publish(),
            "url": running.url,
            "socket": running.url.replace("http", "ws"),
            "chainId": CHAIN.chain_id,
            "key": "0x" + RICH_KEY.hex(),
            "poor": "0x" + POOR.hex(),
            "class": BEST,
        }
        async with mining(running):
            checks = await run_script(node_program, script, setup)
    assert checks == [name.format(refusal) for name in CHECKS]
