"""Which models lie on a device: bounded in bytes, by the policies of the file cache."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.inference.messages import MODELS_LIMIT
from farmctl.messages import CacheStatus
from farmctl.smoothing import smooth
from node.models.eviction import Policy, make_order
from node.spec.cvm import Graph


class Residency:
    """The books of one session. The caller loads and unloads what they say. At most
    ``models_limit`` models are held: those without parameters take room, too."""

    def __init__(
        self,
        limit_bytes: int,
        policy: Policy = Policy.GDSF,
        models_limit: int = MODELS_LIMIT,
    ) -> None:
        self._limit_bytes, self._models_limit = limit_bytes, models_limit
        self._policy = policy
        self.clear()

    def clear(self) -> None:
        """The session is a new one."""
        self._order = make_order(self._policy)
        self._graphs: dict[str, Graph] = {}
        self._sizes: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._hits = self._misses = self._evictions = 0

    def __contains__(self, model: str) -> bool:
        return model in self._graphs

    def __iter__(self) -> Iterator[str]:
        return iter(self._graphs)

    def __len__(self) -> int:
        return len(self._graphs)

    def graph(self, model: str) -> Graph:
        """Of a resident model, without its parameters."""
        return self._graphs[model]

    def use(self, model: str, requests: int, was_resident: bool) -> None:
        """Count requests that were served together, of which the first may have brought the
        model in."""
        self._hits += requests - (not was_resident)
        self._misses += not was_resident
        for _ in range(requests if was_resident else requests - 1):
            self._order.hit(bytes.fromhex(model))

    def seconds(self, model: str) -> float | None:
        """That one inference takes; None before the first since it came."""
        return self._seconds.get(model)

    def learn(self, model: str, seconds: float) -> None:
        self._seconds[model] = smooth(self._seconds.get(model), seconds)

    def make_room(self, size_bytes: int) -> list[str]:
        """Strike off what must be unloaded before a model of that size comes; of one that is
        larger than all there is, everything."""
        gone: list[str] = []
        while self._graphs and (
            self._used_bytes() + size_bytes > self._limit_bytes
            or len(self._graphs) >= self._models_limit
        ):
            gone.append(self.evict())
        return gone

    def evict(self) -> str:
        """Strike off the next to go; there must be one."""
        model = self._order.victim().hex()
        del self._graphs[model], self._sizes[model]
        self._seconds.pop(model, None)
        self._evictions += 1
        return model

    def add(self, model: str, graph: Graph, size_bytes: int) -> None:
        self._order.add(bytes.fromhex(model), size_bytes)
        self._graphs[model], self._sizes[model] = graph, size_bytes

    def counts(self) -> CacheStatus:
        return CacheStatus(
            policy=str(self._policy),
            limit_bytes=self._limit_bytes,
            used_bytes=self._used_bytes(),
            entries=len(self._graphs),
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
        )

    def _used_bytes(self) -> int:
        return sum(self._sizes.values())
