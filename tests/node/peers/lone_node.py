"""A node with its peers as a process of its own, told what to do line by line on standard input.

``python -m tests.node.peers.lone_node HOME LISTEN [URL…]``. It answers each line with one.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from node.peers.settings import PeerSection, PeerSettings
from node.spec.types import Transaction
from tests.node.peers.network import Member, seal


async def obey(member: Member, words: list[str]) -> str:
    if words[0] == "mine":
        for _ in range(int(words[1])):
            await asyncio.to_thread(seal, member.node)
    elif words[0] == "send":
        await member.send(Transaction.decode(bytes.fromhex(words[1])))
    elif words[0] == "place":
        found = member.node.store.location(bytes.fromhex(words[1]))
        waits = bytes.fromhex(words[1]) in member.node.mempool
        return "chain" if found else "pool" if waits else "nowhere"
    elif words[0] == "peers":
        return str(member.peers.board().connected)
    return member.node.head().hash().hex()


async def main(home: str, listen: str, *urls: str) -> None:
    settings = PeerSettings(tuple(PeerSection(url) for url in urls), listen, admits_unknown=True)
    loop = asyncio.get_running_loop()
    async with Member(Path(home), time.time, settings=settings) as member:
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(await obey(member, line.split()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
