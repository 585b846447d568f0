"""Hours of mining on this machine, with everything that can come between: other work each second,
pauses, killed processes, power limits that change. Nothing invalid may be sent, nothing may leak.

    python -m benchmarks.soak --hours 2 --out soak.json

A real rig (`farmctl agent`, its runners and device workers) works over a real message bus for a
real node in this process. What it sends is verified a second time here, by the node's reference
verifier. Power limits change on every device here that has the control; the record says on how
many. Kills end after `KILLING_SHARE` of the time, so that the last processes live long enough to
show a leak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.soak_farm import SoakFarm
from benchmarks.soak_limits import PowerLimits
from benchmarks.soak_processes import ProcessLog

SWITCH_SECONDS = 1.0
PAUSE_EVERY_SECONDS = 20.0
PAUSE_SECONDS = 2.0
KILL_RUNNER_SECONDS = 240.0
#: Fewer than the ladder of faults allows before it puts a device into quarantine.
KILL_WORKER_SECONDS = 660.0
KILLING_SHARE = 0.6
LIMIT_SECONDS = 1.0
SAMPLE_SECONDS = 10.0
START_SECONDS = 180.0
CONFIRM_SECONDS = 120.0
log = logging.getLogger("soak")


async def soak(seconds: float, edge_bits: int, home: Path, keep: Callable[[Any], None]) -> Any:
    """Run for so long; ``keep`` gets the record as it stands each minute. Returns the record."""
    farm, limits = SoakFarm(home, edge_bits), PowerLimits()
    processes = ProcessLog()
    started = time.monotonic()
    await farm.start()
    try:
        await farm.mine(START_SECONDS)
        began = time.monotonic()
        chaos = Chaos(farm, processes, seconds)

        def record() -> dict[str, Any]:
            spent = time.monotonic() - began
            return summarise(farm, limits, processes, chaos, spent, began - started)

        jobs = (
            every(SWITCH_SECONDS, farm.change_work),
            every(min(PAUSE_EVERY_SECONDS, seconds / 2), chaos.pause),
            every(min(KILL_RUNNER_SECONDS, seconds / 5), chaos.kill_runner),
            every(KILL_WORKER_SECONDS, chaos.kill_worker),
            every(LIMIT_SECONDS, limits.change),
            every(min(SAMPLE_SECONDS, seconds / 20), lambda: processes.sample(farm.agent_pid)),
            every(60.0, lambda: note(record, keep)),
        )
        await until_over(seconds, [asyncio.create_task(job) for job in jobs])
        await farm.settle()
        ended = record()
    finally:
        await limits.restore()
        await farm.stop()
        processes.look_for_orphans()
    verdict = judge(ended, limits, processes)
    return ended | verdict | ({} if verdict["passed"] else {"agent_log": farm.agent_log()})


async def until_over(seconds: float, tasks: list[asyncio.Task[None]]) -> None:
    """Raises what any of them raises before that."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()


async def note(record: Callable[[], Any], keep: Callable[[Any], None]) -> None:
    keep(record())


class Chaos:
    """What people and accidents do to a rig."""

    def __init__(self, farm: SoakFarm, processes: ProcessLog, seconds: float) -> None:
        self._farm, self._processes = farm, processes
        self._pause_seconds = min(PAUSE_SECONDS, seconds / 10)
        self._killing_until = time.monotonic() + KILLING_SHARE * seconds
        self.pauses = self.runner_kills = self.worker_kills = 0
        self.unconfirmed = 0
        self.pause_seconds: list[float] = []
        self.resume_seconds: list[float] = []
        self._still = asyncio.Lock()
        """Held over a pause or a kill, so that each is seen to its end."""

    async def pause(self) -> None:
        async with self._still:
            self.pauses += 1
            await self._timed(True, self.pause_seconds)
            await asyncio.sleep(self._pause_seconds)
            await self._timed(False, self.resume_seconds)

    async def _timed(self, paused: bool, kept: list[float]) -> None:
        began = time.monotonic()
        if await self._farm.plan(paused, CONFIRM_SECONDS):
            kept.append(time.monotonic() - began)
        else:
            self.unconfirmed += 1

    async def kill_runner(self) -> None:
        self.runner_kills += await self._kill("runner cpu:0", "runner_died")

    async def kill_worker(self) -> None:
        """In the middle of a graph."""
        self.worker_kills += await self._kill("worker", "device_lost")

    async def _kill(self, role: str, fault: str) -> int:
        if time.monotonic() > self._killing_until:
            return 0
        async with self._still:
            process = self._processes.find(self._farm.agent_pid, role)
            if process is None:
                return 0
            self._farm.expected_faults[fault] += 1
            process.send_signal(signal.SIGKILL)
            if not await self._farm.mines_after(fault, CONFIRM_SECONDS):
                self.unconfirmed += 1
            return 1


def summarise(
    farm: SoakFarm,
    limits: PowerLimits,
    processes: ProcessLog,
    chaos: Chaos,
    seconds: float,
    start_seconds: float,
) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1),
        "start_seconds": round(start_seconds, 1),
        **farm.record(),
        "pauses": chaos.pauses,
        "pause_seconds": spread(chaos.pause_seconds),
        "resume_seconds": spread(chaos.resume_seconds),
        "runner_kills": chaos.runner_kills,
        "worker_kills": chaos.worker_kills,
        "unconfirmed": chaos.unconfirmed,
        "power_limits": limits.record(),
        "processes": processes.record(),
    }


def spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    return {"least": ordered[0], "median": ordered[len(ordered) // 2], "most": ordered[-1]}


def judge(ended: dict[str, Any], limits: PowerLimits, processes: ProcessLog) -> dict[str, Any]:
    """Every reason why the soak failed; none where it passed."""
    wanted = {
        "nothing was mined": ended["shares"]["accepted"] > 0 and ended["height"] > 0,
        "invalid solutions were sent": ended["wrong_submissions"] == 0,
        "the device found invalid solutions": ended["shares"]["invalid"] == 0,
        "the node rejected solutions": ended["shares"]["rejected"] == 0,
        "a change was not confirmed": ended["unconfirmed"] == 0,
        "faults came that nobody caused": not ended["unexpected_faults"],
        "power limits were not as set": limits.mismatches == 0,
        "power limits were not restored": limits.unrestored == 0,
        "processes were left behind": not processes.orphans,
    }
    failures = [what for what, holds in wanted.items() if not holds] + processes.leaks()
    return {"orphans": processes.orphans, "failures": failures, "passed": not failures}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, help="instead of hours")
    parser.add_argument("--edge-bits", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("soak.json"))
    given = parser.parse_args()
    seconds = given.seconds or given.hours * 3600
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    head = {"benchmark": "soak", "time": time.time(), "asked_seconds": seconds}
    head |= {"edge_bits": given.edge_bits, "machine": describe()}

    def keep(record: Any) -> None:
        given.out.write_text(json.dumps(head | record, indent=1) + "\n")

    random.seed(20260)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        record = asyncio.run(soak(seconds, given.edge_bits, Path(folder), keep))
    keep(record)
    print(json.dumps({k: v for k, v in record.items() if k != "processes"}, indent=1))
    sys.exit(0 if record["passed"] else 1)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
