"""Three nodes are cut in two, both sides go on, and they find together again."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from node.spec.types import Transaction
from tests.node.peers.cable import Cable
from tests.node.peers.network import Member, until
from tests.node.workshop import OTHER_MINER, Clock, sign


async def test_three_nodes_converge_after_a_partition(tmp_path: Path, clock: Clock) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        first = await enter(Member(tmp_path / "a", clock))
        cable = await enter(Cable(first.peers.port or 0))
        second = await enter(Member(tmp_path / "b", clock, [first.url]))
        remote = await enter(
            Member(
                tmp_path / "c",
                clock,
                [first.url_at(cable.port)],
                coinbase=OTHER_MINER,
            )
        )
        everyone = (first, second, remote)
        await first.mine(3)
        await until(lambda: same_head(*everyone), "all have the first blocks")

        cable.cut()
        await until(lambda: not remote.peers.roster.feeds(), "the cable is cut")
        lost = [sign(0), sign(1)]
        for transaction in lost:
            await remote.send(transaction)
        await remote.mine(4)
        await first.mine(9)
        await until(lambda: same_head(first, second), "the larger side agrees")
        assert all(is_in(remote, t) for t in lost)

        cable.mend()
        await until(lambda: same_head(*everyone), "all are on one chain again")
        assert remote.node.head().number == 12
        # What only the losing side had comes back, and reaches a miner of the other side.
        await until(lambda: all(t.hash() in second.node.mempool for t in lost), "they come back")
        await second.mine()
        await until(lambda: same_head(*everyone), "the block is everywhere")
        assert all(is_in(member, t) for member in everyone for t in lost)
        assert not any(view.points >= 100 for m in everyone for view in m.peers.board().peers)


def same_head(*members: Member) -> bool:
    return len({m.node.head().hash() for m in members}) == 1


def is_in(member: Member, transaction: Transaction) -> bool:
    return member.node.store.location(transaction.hash()) is not None
