"""The service at work: its port, its desk, and how it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from node.models.cache import CacheCounts
from node.peers.rpc_caller import RpcCaller
from node.serving import GuestServer, open_port
from node.synapse.connection import Doorkeeper
from node.synapse.desk import Desk, Inferences
from node.synapse.door import Door
from node.synapse.fetching import Contents, Fetcher
from node.synapse.figures import Figures
from node.synapse.following import ASK_SECONDS, FollowCounts, Follower
from node.synapse.journal import Journal
from node.synapse.settings import SynapseSettings, split_endpoint

#: Longer than a Go client keeps an idle connection: it is the one to close it.
KEEP_ALIVE_SECONDS = 120
BACKLOG = 2048


class SynapseService:
    """``inferences`` read from ``contents``; ``models`` tells of the cache of loaded models,
    ``engine`` names who computes. Port 0 takes a free one. Raises `NodeError` where the port is
    taken."""

    def __init__(
        self,
        inferences: Inferences,
        contents: Contents,
        settings: SynapseSettings,
        engine: str,
        models: Callable[[], CacheCounts],
    ) -> None:
        self.figures = Figures()
        self.fetcher = Fetcher(contents, self.figures)
        self._engine, self._inferences, self._models = engine, inferences, models
        self._desk = Desk(inferences, self.fetcher, settings, self.figures)
        self._keeper = Doorkeeper(
            settings.max_connections, settings.max_connections_per_caller, settings.receive_seconds
        )
        self._socket = open_port(*split_endpoint(settings.listen))
        self.port: int = self._socket.getsockname()[1]
        self._door = Door(self._desk, settings, self.figures, self.describe)
        self._server = GuestServer(
            uvicorn.Config(
                self._door,
                http=self._keeper.make,  # type: ignore[arg-type]
                ws="none",
                log_level="error",  # whoever sends no HTTP must not fill the log
                access_log=False,
                proxy_headers=False,  # else a caller on loopback says himself who he is
                lifespan="off",
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=3,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        self._settings = settings

    async def start(self) -> None:
        """Return when it answers."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(0.005)
        if self._serving.done():
            await self._serving

    def follow(self, journal: Path) -> None:
        """Fetch ahead what the blocks of the configured node create; the journal keeps how far."""
        settings = self._settings
        self._rpc = RpcCaller(settings.follow, ASK_SECONDS)
        self._follower = Follower(
            self._rpc,
            self.fetcher,
            Journal(journal),
            settings.follow_from,
            settings.prefetch_bytes,
        )
        self._following = asyncio.create_task(self._follower.run())

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            await self._rpc.close()
        self._desk.close()
        if self._serving is not None:
            await self._serving
        self._socket.close()

    def describe(self) -> dict[str, Any]:
        """How it does, for people; the gauges of the metrics follow."""
        known, models = self._inferences(False).counts(), self._models()
        kept = known.results
        gauges = {
            "connections": (self._keeper.connections, "Open now."),
            "connections_refused": (self._keeper.refused, "One too many."),
            "connections_ended": (self._keeper.ended, "A request did not come whole in time."),
            "waiting": (self._desk.running, "Inferences that are worked on or wait."),
            "held_bytes": (self._door.held_bytes, "Of requests that are read or worked on."),
            "kept_results": (kept.entries, "Results in the cache."),
            "kept_bytes": (kept.used_bytes, "Of the cache of results."),
            "resident_models": (models.entries, "Models loaded."),
            "resident_bytes": (models.used_bytes, "Of loaded models."),
        }
        if self._follower is not None:
            gauges |= _describe(self._follower.counts())
        for name, (value, about) in gauges.items():
            self.figures.show(name, about, value)
        return {
            "ok": True,
            "engine": self._engine,
            "uptime_seconds": round(time.time() - self.figures.began, 1),
            "requests": self.figures.totals(),
            "p50_milliseconds": self.figures.latencies.milliseconds(0.5),
            "p99_milliseconds": self.figures.latencies.milliseconds(0.99),
            **{name: value for name, (value, _) in gauges.items()},
        }


def _describe(counts: FollowCounts) -> dict[str, tuple[int, str]]:
    return {
        "following": (int(counts.is_following), "Whether the followed node answers."),
        "follow_block": (counts.block, "The next block to be read of the followed node."),
        "follow_wanted": (counts.wanted, "Contents that are still to be fetched ahead."),
        "prefetched_bytes": (counts.prefetched_bytes, "Fetched ahead in all."),
        "over_budget": (counts.over_budget, "Contents that the budget had no room for."),
    }
