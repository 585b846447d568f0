"""Miners and the pool over real sockets: jobs, shares, refusals, bounds."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from node.errors import NodeError
from node.stratum import book, connection
from tests.node.stratum.miner import (
    ALICE,
    BOB,
    Answer,
    Miner,
    connect,
    running_pool,
    search,
)


async def test_a_share_is_taken_once(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        job = await miner.log_in()
        assert job.height == 1
        answer = search(job)
        assert await miner.submit(answer) == {"id": 73, "jsonrpc": "2.0", "result": True}
        again = await miner.submit(answer)
        assert again["result"] is False and again["error"]["code"] == 22
        assert again["error"]["message"].startswith("duplicate")
        assert pool.pool.counts.shares == {"accepted": 1, "duplicate": 1}


async def test_refusals_are_told_apart(tmp_path: Path) -> None:
    async with running_pool(tmp_path, minimum_difficulty=2**40) as pool:
        miner = await connect(pool.ports[0])
        job = await miner.log_in()
        low = search(job, wanted=lambda digest: digest > job.target)
        codes = [(await miner.submit(low))["error"]["code"]]
        other = Answer(low.nonce, "0x" + "11" * 32, low.solution)
        codes.append((await miner.submit(other))["error"]["code"])
        short = Answer(low.nonce, low.seal_hash, low.solution[:-2])
        codes.append((await miner.submit(short))["error"]["code"])
        assert codes == [23, 21, 20]
        assert pool.pool.counts.shares == {"low_difficulty": 1, "stale": 1, "invalid": 1}


async def test_edges_that_are_no_cycle_are_invalid(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        job = await miner.log_in()
        answer = search(job)
        wrong = Answer(f"0x{int(answer.nonce, 16) + 1:016x}", answer.seal_hash, answer.solution)
        said = await miner.submit(wrong)
        assert said["result"] is False and said["error"]["code"] == 20
        assert (await miner.submit(answer))["result"] is True


async def test_each_miner_searches_a_block_of_its_own(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        first, second = await connect(pool.ports[0]), await connect(pool.ports[0])
        job, other = await first.log_in(), await second.log_in(BOB)
        assert job.seal_hash != other.seal_hash
        answer = search(job)
        assert (await second.submit(answer))["error"]["code"] == 21, "another miner's share"
        assert (await first.submit(answer))["result"] is True


async def test_a_good_share_is_a_block_and_everyone_gets_the_next_job(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner, other = await connect(pool.ports[0]), await connect(pool.ports[0])
        job = await miner.log_in()
        await other.log_in(BOB)
        target = pool.pool.book.current.target
        answer = search(job, wanted=lambda digest: digest <= target)
        assert (await miner.submit(answer))["result"] is True
        for each in (miner, other):
            fresh = await each.next_job()
            while fresh.height == 1:
                fresh = await each.next_job()
            assert fresh.height == 2 and fresh.seal_hash != job.seal_hash
        assert pool.pool.counts.blocks == 1


async def test_shares_of_the_last_block_are_stale_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "GRACE_SECONDS", 0.0)
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        job = await miner.log_in()
        target = pool.pool.book.current.target
        late = search(job, wanted=lambda digest: digest > target)
        assert (await miner.submit(search(job, wanted=lambda d: d <= target)))["result"] is True
        while (await miner.next_job()).height == 1:
            pass
        assert (await miner.submit(late))["error"]["code"] == 21


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", 1),
        (b"[]", 1),
        (b'{"id":1}', 1),
        (b'{"id":{},"method":"ctxc_getWork"}', 1),
        (b'{"id":1,"method":"ctxc_getWork"}', 2),
        (b'{"id":1,"method":"ctxc_submitLogin","params":["0x12"]}', 5),
        (b'{"id":1,"method":"ctxc_submitLogin","params":[]}', 5),
        (b'{"id":1,"method":"ctxc_mineAll"}', -32601),
        (b'{"id":1,"method":"getWork"}', -32601),
    ],
)
async def test_what_is_no_request_is_named(tmp_path: Path, line: bytes, code: int) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        said = await miner.say(line)
        assert said["error"]["code"] == code and "result" in said
        await miner.log_in()


async def test_aliases_and_a_worker_in_the_address(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        assert (await miner.send("eth_submitLogin", f"{ALICE}.rig9", "x"))["result"] is True
        assert (await miner.send("eth_getWork"))["result"][3] == "0x1"
        rate = await miner.send("eth_submitHashrate", "0x10", "0x" + "22" * 32)
        assert rate["result"] is True
        long = await miner.send("ctxc_submitLogin", ALICE, worker="x" * 65)
        assert long["error"]["code"] == 6


async def test_lines_in_pieces_and_in_heaps_are_answered_in_order(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        await miner.log_in()
        for part in (b'{"id":5,"meth', b'od":"ctxc_submitHash', b'rate","params":[]}\n'):
            miner.writer.write(part)
            await miner.writer.drain()
            await asyncio.sleep(0.005)
        assert (await miner.reply())["id"] == 5
        lines = [{"id": i, "method": "ctxc_submitHashrate"} for i in range(100, 180)]
        miner.writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        assert [(await miner.reply())["id"] for _ in lines] == list(range(100, 180))


async def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        miner.writer.write(b"x" * 5000)
        assert await miner.is_dropped()
        assert pool.status().connections == 0


async def test_too_many_lines_are_cut_off(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        miner = await connect(pool.ports[0])
        await miner.log_in()
        miner.writer.write(b'{"id":1,"method":"ctxc_submitHashrate"}\n' * 400)
        assert await miner.is_dropped()
        assert pool.pool.counts.dropped_connections == 1


async def test_a_miner_that_does_not_read_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_UNREAD_BYTES", 1000)
    monkeypatch.setattr(connection, "BURST_LINES", 1e9)
    async with running_pool(tmp_path) as pool:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", pool.ports[0]))
        miner = Miner(*await asyncio.open_connection(sock=plain))
        await miner.log_in()
        miner.writer.transport.pause_reading()
        request = b'{"id":1,"method":"ctxc_getWork"}\n' * 1000
        async with asyncio.timeout(20):
            while pool.status().connections:
                miner.writer.write(request)
                await asyncio.sleep(0.001)
        assert pool.pool.counts.dropped_connections == 1


async def test_a_flood_of_bad_shares_is_banned(tmp_path: Path) -> None:
    async with running_pool(tmp_path, ban_seconds=0.5) as pool:
        miner = await connect(pool.ports[0])
        job = await miner.log_in()
        bad = Answer("0x" + "00" * 8, job.seal_hash, "0x" + "00" * 168)
        bodies = [{"id": 1, "method": "ctxc_submitWork", "params": bad.params()}] * 60
        miner.writer.write(b"".join(json.dumps(body).encode() + b"\n" for body in bodies))
        assert await miner.is_dropped()
        assert pool.pool.counts.bans == 1 and pool.status().banned == 1
        assert await (await connect(pool.ports[0])).is_dropped()
        assert pool.pool.counts.refused_connections == 1
        await asyncio.sleep(0.6)
        await (await connect(pool.ports[0])).log_in()


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with running_pool(tmp_path, max_connections_per_address=2) as pool:
        kept = [await connect(pool.ports[0]) for _ in range(2)]
        for miner in kept:
            await miner.log_in()
        assert await (await connect(pool.ports[0])).is_dropped()
        kept[0].writer.close()
        await kept[0].writer.wait_closed()
        while pool.status().connections == 2:
            await asyncio.sleep(0.01)
        await (await connect(pool.ports[0])).log_in()


async def test_a_taken_port_and_too_many_files_are_named(tmp_path: Path) -> None:
    async with running_pool(tmp_path / "one") as pool:
        with pytest.raises(NodeError, match="choose another"):
            async with running_pool(tmp_path / "two", port=pool.ports[0]):
                pass
        with pytest.raises(NodeError, match="open files"):
            async with running_pool(tmp_path / "three", max_connections=10**9):
                pass
