"""The farm's pool of another coin, opened to the miners of others (`node.stratum.relay`)."""

from __future__ import annotations

from collections.abc import Mapping

from farmctl.errors import ConfigError
from farmctl.messages import Submission, Work
from farmctl.mining.task import verify_proof
from farmctl.pools.failover import Pools
from node.spec.coin import Coin
from node.stratum.relay.jobs import RelayShare
from node.stratum.relay.server import RelayServer
from node.stratum.settings import StratumSettings


class Relaying:
    """Gives the work of ``pools`` to miners while it is of one of the ``coins`` (by name), and
    their shares to the pool. Raises `ConfigError` where there is no such pool."""

    def __init__(
        self, settings: StratumSettings, pools: Pools | None, coins: Mapping[str, Coin]
    ) -> None:
        if pools is None or not coins:
            raise ConfigError(
                "[stratum] relay_port needs one of [[pools]] whose chain is a coin such as grin"
            )
        self._pools, self._coins = pools, coins
        self.server = RelayServer(settings, verify_proof, self._forward)

    async def start(self) -> None:
        """Raises `NodeError` where it cannot listen."""
        await self.server.start()
        self.tell(self._pools.work())

    async def stop(self) -> None:
        await self.server.stop()

    def tell(self, work: Work) -> None:
        """What the farm's own devices search from now on."""
        coin = self._coins.get(work.chain)
        if coin is None or not work.available:
            self.server.pause()
            return
        target = int(work.target, 16)
        self.server.offer(coin, bytes.fromhex(work.seal_hash), target, work.height)

    async def _forward(self, login: str, share: RelayShare) -> str:
        reply = await self._pools.submit(
            Submission(
                chain=share.job.coin.name,
                seal_hash=share.job.header.hex(),
                nonce=share.nonce,
                edges=share.edges,
                worker=login,
            )
        )
        return reply.outcome
