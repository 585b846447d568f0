"""Cortex's stratum (cortex-protocol §3)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from farmctl.messages import SubmissionReply, Work
from farmctl.pools.client import Job, PoolClient
from farmctl.pools.connection import PoolLost, Said, error_code, reason
from farmctl.pools.settings import PoolSection
from node.spec.chain import Chain
from node.spec.cuckoo import solution_bytes
from node.spec.pow import ProofVerifier

NEWS, LOGIN, GET_WORK, FIRST_SHARE = 0, 72, 100, 1000
#: Codes by which pools tell stale and repeated shares.
STALE, DUPLICATE = 21, 22


class CortexClient(PoolClient):
    def __init__(
        self,
        pool: PoolSection,
        chain: Chain,
        verify: ProofVerifier,
        on_job: Callable[[Work], None] = lambda work: None,
    ) -> None:
        super().__init__(pool, chain.name, chain.pow, verify, on_job)
        self._ident = FIRST_SHARE

    async def _log_in(self, password: str) -> None:
        params = [self.pool.user, *([password] if password else [])]
        said = await self._ask(LOGIN, "ctxc_submitLogin", params)
        if said.get("result") is not True:
            raise PoolLost(f"the pool refuses the login: {reason(said)}")

    async def _get_work(self) -> None:
        said = await self._ask(GET_WORK, "ctxc_getWork", [""])
        if not said.get("result"):
            raise PoolLost(f"the pool gives no work: {reason(said)}")
        self._take(read_job(said["result"]))

    async def _send(self, job: Job, nonce: int, edges: tuple[int, ...]) -> SubmissionReply:
        params = [f"0x{nonce:016x}", "0x" + job.header.hex(), "0x" + solution_bytes(edges).hex()]
        self._ident += 1
        return _verdict(await self._ask(self._ident, "ctxc_submitWork", params))

    async def _ask(self, ident: int, method: str, params: list[str]) -> Said:
        request = {"method": method, "params": params, "worker": self.pool.worker}
        return await self._connection.ask(ident, request)

    def _hear(self, said: Said) -> None:
        if said.get("id") in (NEWS, None) and said.get("result"):
            self._take(read_job(said["result"]))


def read_job(result: object) -> Job:
    """Of ``[seal hash, zero seed, target, height]``, the last of which may be missing. Raises
    `PoolLost`."""
    if not isinstance(result, list) or len(result) not in (3, 4):
        raise PoolLost(f"the pool's job is none: {str(result)[:80]}")
    seal_hash, _, target = (_hash(word) for word in result[:3])
    height = 0
    if len(result) == 4:
        with suppress(ValueError):
            height = int(str(result[3])[:20], 16)
    number = int.from_bytes(target, "big")
    if number == 0 or height < 0:
        raise PoolLost("the pool's target is 0, which no share meets")
    return Job(seal_hash, number, height)


def _hash(word: object) -> bytes:
    try:
        found = bytes.fromhex(str(word).removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise PoolLost(f"the pool's job holds no 32 bytes in hex: {str(word)[:80]}")
    return found


def _verdict(said: Said) -> SubmissionReply:
    if said.get("result") is True:
        return SubmissionReply(outcome="accepted", detail="taken by the pool")
    code = error_code(said)
    return SubmissionReply(
        outcome="stale" if code == STALE else "rejected",
        duplicate=code == DUPLICATE,
        detail=f"the pool: {reason(said)}",
    )
