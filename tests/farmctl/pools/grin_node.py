"""A stand-in for a Grin node: it speaks the stratum of its documents and judges shares by the
plain reference solver's rules, which share nothing with the farm's verifiers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from drivers.base import CuckooJob
from drivers.kernels import graphs, reference

PROOF_SIZE = 42


@dataclass
class GrinNode:
    """``weight`` is that of its graphs; a share needs ``difficulty``."""

    cycle: graphs.Cycle
    edge_bits: int
    weight: int
    difficulty: int = 1
    height: int = 7
    jobs: list[str] = field(default_factory=lambda: ["00" * 250])
    """Headers without proof of work, hex; their places are the jobs' numbers."""
    taken: list[tuple[int, int]] = field(default_factory=list)
    """Job and nonce of every share that was right."""
    refused: list[str] = field(default_factory=list)
    logins: list[dict[str, str]] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while line := await reader.readline():
                said = json.loads(line)
                answer = {"id": said["id"], "jsonrpc": "2.0", "method": said["method"]}
                writer.write(json.dumps(answer | self.answer(said)).encode() + b"\n")
        except ConnectionError:
            pass
        finally:
            writer.close()

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        match said["method"]:
            case "login":
                assert said["params"].keys() == {"login", "pass", "agent"}
                self.logins.append(said["params"])
                return {"result": "ok", "error": None}
            case "getjobtemplate":
                return {"result": self.template(), "error": None}
            case "submit":
                return self.judge(said["params"])
        return {"result": None, "error": {"code": -32601, "message": "Method not found"}}

    def template(self) -> dict[str, Any]:
        newest = len(self.jobs) - 1
        return {
            "difficulty": self.difficulty,
            "height": self.height,
            "job_id": newest,
            "pre_pow": self.jobs[newest],
        }

    def next_job(self, header: str, **changes: int) -> None:
        """Other work, told to everyone."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.jobs.append(header)
        news = {"id": "Stratum", "jsonrpc": "2.0", "method": "job", "params": self.template()}
        for writer in self._writers:
            writer.write(json.dumps(news).encode() + b"\n")

    def judge(self, share: dict[str, Any]) -> dict[str, Any]:
        assert share.keys() == {"edge_bits", "height", "job_id", "nonce", "pow"}
        assert share["edge_bits"] == self.edge_bits
        if share["height"] != self.height or share["job_id"] >= len(self.jobs):
            return self._refuse(-32503, "Solution submitted too late")
        header = bytes.fromhex(self.jobs[share["job_id"]])
        job = CuckooJob(
            header, self.edge_bits, (2, 4), PROOF_SIZE, self.cycle, graphs.NonceForm.GRIN
        )
        if not reference.verify(job, share["nonce"], share["pow"]):
            return self._refuse(-32502, "Failed to validate solution")
        if difficulty_of(share["pow"], self.edge_bits, self.weight) < self.difficulty:
            return self._refuse(-32501, "Share rejected due to low difficulty")
        self.taken.append((share["job_id"], share["nonce"]))
        return {"result": "ok", "error": None}

    def _refuse(self, code: int, message: str) -> dict[str, Any]:
        self.refused.append(message)
        return {"result": None, "error": {"code": code, "message": message}}


def difficulty_of(edges: Sequence[int], edge_bits: int, weight: int) -> int:
    """Bit by bit, as Grin's documents describe it."""
    bits = [edge >> i & 1 for edge in edges for i in range(edge_bits)]
    bits += [0] * (-len(bits) % 8)
    octets = (bits[at : at + 8] for at in range(0, len(bits), 8))
    packed = bytes(sum(bit << i for i, bit in enumerate(octet)) for octet in octets)
    digest = hashlib.blake2b(packed, digest_size=32).digest()
    return (weight << 64) // max(1, int.from_bytes(digest[:8], "big"))


@asynccontextmanager
async def running_node(node: GrinNode) -> AsyncIterator[int]:
    """Its port."""
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
