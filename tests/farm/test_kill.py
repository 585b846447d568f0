"""Any process of the farm may be killed at any moment: it recovers by itself, and no block,
transaction, ledger entry or step of a job is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import time
from collections import defaultdict
from pathlib import Path

import psutil
import pytest

from farmctl import nats_bus
from farmctl.config import Config
from farmctl.messages import NodeStatus, Reading, ReadingBatch
from tests.farm.load import Customer, Sender
from tests.farm.running import RunningFarm, belongings, running, until
from tests.farm.witness import Witness, judge_shares, undisturbed_curve

PARTS = ("bus", "node", "controller", "agent", "runner")
SEED = 20260
KILLS = int(os.environ.get("FARMCTL_KILLS", "20"))
RECOVERY_SECONDS = 120.0
BLOCK_SECONDS = 240.0
#: Of the kills, those that strike before the farm has recovered from the one before.
HASTE = 0.25


async def hear(config: Config, since: float) -> dict[str, Reading]:
    """The newest reading of each device, once the node and the rig speak on the bus again."""
    readings: dict[str, Reading] = {}
    node, rig = asyncio.Event(), asyncio.Event()

    async def note_status(_: str, __: NodeStatus) -> None:
        node.set()

    async def note_readings(_: str, batch: ReadingBatch) -> None:
        readings.update({r.device: r for r in batch.readings if r.at > since})
        if len(readings) == 2:
            rig.set()

    async with await nats_bus.connect(config.bus_url, config.bus_seed, "watcher", 5.0) as bus:
        await bus.subscribe("node.status", NodeStatus, note_status)
        await bus.subscribe("reading.*", ReadingBatch, note_readings)
        async with asyncio.timeout(10.0):
            await node.wait()
            await rig.wait()
    return readings


def has_recovered(farm: RunningFarm, since: float) -> bool:
    """Everything speaks, and each device does what the plan wants: mining finds graphs."""
    try:
        readings = asyncio.run(hear(farm.config, since))
    except TimeoutError:
        return False
    if not farm.overview()["node"]["running"]:
        return False
    needed = {"mine": "graphs_per_second", "train": "steps_per_second"}
    for device in farm.client.get("/v1/devices"):
        rate = needed.get(device["wanted"])
        if device["workload"] != device["wanted"]:
            return False
        if rate is not None and rate not in readings[device["id"]].values:
            return False
    return readings["cpu:0"].values["graphs_per_second"] > 0


def kill(farm: RunningFarm, part: str, dice: random.Random) -> int:
    """Strike a process of a kind, one of the runners by chance; its PID."""
    until(lambda: farm.pids(part), RECOVERY_SECONDS, f"a process {part}")
    pid = dice.choice(farm.pids(part))
    os.kill(pid, signal.SIGKILL)
    return pid


def await_recovery(farm: RunningFarm, part: str, pid: int) -> float:
    began, since = time.monotonic(), time.time()
    until(lambda: not psutil.pid_exists(pid), 10, f"end of {part}")
    until(lambda: farm.pids(part), RECOVERY_SECONDS, f"a new {part}")
    until(lambda: has_recovered(farm, since), RECOVERY_SECONDS, f"recovery from the kill of {part}")
    return time.monotonic() - began


def torment(home: Path, rounds: int, steps: int, seed: int, haste: float) -> None:
    """Strike every part once a round, under load; then judge everything that was done."""
    dice = random.Random(seed)
    print(f"seed {seed}, {rounds} kills of each of {', '.join(PARTS)}")
    curve = undisturbed_curve(home.parent / "undisturbed", steps)
    seconds: dict[str, list[float]] = defaultdict(list)
    with running(home, twin=True) as farm:
        assert farm.command("switch", "cpu:0", "mine", "--lock").returncode == 0
        witness, sender, customer = Witness(farm), Sender(farm), Customer(farm, steps)
        for load in (sender, customer):
            load.start()
        for number in range(rounds):
            before = farm.height()
            for part in dice.sample(PARTS, len(PARTS)):
                time.sleep(dice.uniform(0.0, 3.0))
                pid = kill(farm, part, dice)
                if dice.random() >= haste:
                    seconds[part].append(await_recovery(farm, part, pid))
                    print(f"round {number}: {part} back after {seconds[part][-1]:.1f} s")
                for load in (sender, customer):
                    load.check()
            began = time.time()
            until(lambda since=began: has_recovered(farm, since), RECOVERY_SECONDS, "recovery")
            until(lambda h=before: farm.height() > h, BLOCK_SECONDS, "a new block")
            witness.look()
        for load in (sender, customer):
            load.finish(RECOVERY_SECONDS)
        witness.conclude(sender.sent, customer.ordered, curve)
        report(farm, seconds, sender, customer)
        accepted = farm.overview()["shares_accepted"]
    until(lambda: not belongings(home), 10, "the end of every process of the farm")
    judge_shares(home, accepted)


def report(
    farm: RunningFarm, seconds: dict[str, list[float]], sender: Sender, customer: Customer
) -> None:
    for part, found in sorted(seconds.items()):
        middle, worst = statistics.median(found), max(found)
        print(f"{part}: back after {middle:.1f} s (median of {len(found)}), {worst:.1f} s at most")
    seen = farm.overview()
    print(
        f"{farm.height()} blocks, {seen['shares_accepted']} shares counted, "
        f"{len(sender.sent)} transactions, {len(customer.ordered)} jobs"
    )


@pytest.mark.timeout(400)
def test_each_process_may_be_killed(tmp_path: Path) -> None:
    torment(tmp_path / "home", rounds=1, steps=60, seed=SEED, haste=1.0)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_any_process_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    torment(tmp_path / "home", rounds=KILLS, steps=300, seed=SEED, haste=HASTE)
