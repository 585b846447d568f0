"""Grin's stratum, as its nodes and pools speak it: the coins of `node.spec.coin`.

Source: Grin, doc/stratum.md and servers/src/mining/stratumserver.rs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.kernels.graphs import MAX_HEADER_BYTES
from farmctl.messages import SubmissionReply, Work
from farmctl.pools.client import Job, PoolClient
from farmctl.pools.connection import PoolLost, Said, error_code, reason
from farmctl.pools.settings import PoolSection
from node.spec.coin import Coin
from node.spec.pow import ProofVerifier

AGENT = "farmctl"
#: Code of a share whose job is past.
TOO_LATE = -32503


class JobTemplate(BaseModel):
    """A job on the wire."""

    model_config = ConfigDict(frozen=True, strict=True)
    difficulty: int = Field(ge=1, lt=2**64)
    height: int = Field(ge=0, lt=2**64)
    job_id: int = Field(ge=0, lt=2**64)
    pre_pow: str = Field(min_length=2, max_length=2 * MAX_HEADER_BYTES)
    """The header without nonce and proof, hex."""


class GrinClient(PoolClient):
    def __init__(
        self,
        pool: PoolSection,
        coin: Coin,
        verify: ProofVerifier,
        on_job: Callable[[Work], None] = lambda work: None,
    ) -> None:
        super().__init__(pool, coin.name, coin.pow, verify, on_job)
        self._coin = coin
        self._idents = itertools.count(1)

    async def _log_in(self, password: str) -> None:
        login = {"login": self.pool.user, "pass": password, "agent": AGENT}
        said = await self._ask("login", login)
        if said.get("result") != "ok":
            raise PoolLost(f"the pool refuses the login: {reason(said)}")

    async def _get_work(self) -> None:
        said = await self._ask("getjobtemplate", None)
        if not said.get("result"):
            raise PoolLost(f"the pool gives no work: {reason(said)}")
        self._take(self._read_job(said["result"]))

    async def _send(self, job: Job, nonce: int, edges: tuple[int, ...]) -> SubmissionReply:
        share = {
            "edge_bits": self._pow.edge_bits,
            "height": job.height,
            "job_id": job.ident,
            "nonce": nonce,
            "pow": list(edges),
        }
        return _verdict(await self._ask("submit", share))

    async def _ask(self, method: str, params: object) -> Said:
        ident = str(next(self._idents))
        return await self._connection.ask(ident, {"method": method, "params": params})

    def _hear(self, said: Said) -> None:
        if said.get("method") == "job":
            self._take(self._read_job(said.get("params")))

    def _read_job(self, result: object) -> Job:
        """Raises `PoolLost`."""
        try:
            told = JobTemplate.model_validate(result)
            header = bytes.fromhex(told.pre_pow)
            target = self._coin.target(told.difficulty, told.height)
        except ValidationError as error:
            raise PoolLost(f"the pool's job is none: {str(result)[:80]}") from error
        except ValueError as error:
            raise PoolLost(f"the pool's job cannot be searched: {error}") from error
        return Job(header, target, told.height, told.job_id, told.difficulty)


def _verdict(said: Said) -> SubmissionReply:
    found = said.get("result")
    if isinstance(found, str) and not said.get("error"):
        return SubmissionReply(outcome="accepted", detail=f"the pool: {found[:120]}")
    late = error_code(said) == TOO_LATE
    detail = f"the pool: {reason(said)}"
    return SubmissionReply(outcome="stale" if late else "rejected", detail=detail)
