"""What must hold of a farm whatever is killed: looked at again and again, and once at the end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import lmdb

from farmctl.market.pricing import charge_micro
from farmctl.store import Store, audit
from farmctl.training.protocol import JOB_FILE, JobSpec
from tests.farm.load import JOB, RECEIVER, Sent
from tests.farm.running import RunningFarm, until

#: A block with so many on top of it stays for ever.
CONFIRMATIONS = 3
#: Confirmed blocks that are looked at again each time; at the end all are.
LOOK_BACK = 10
FINAL = {"done", "failed", "cancelled"}


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(statement).fetchall()


class Witness:
    """Remembers what was true and must stay so."""

    def __init__(self, farm: RunningFarm) -> None:
        self.farm = farm
        self.blocks: dict[int, str] = {}
        self.plan = 0
        self.jobs: dict[str, tuple[str, int, int]] = {}

    def look(self) -> None:
        self.look_at_blocks(LOOK_BACK)
        self._look_at_plans()
        self._look_at_jobs()
        self._look_at_money()

    def look_at_blocks(self, back: int) -> None:
        """Blocks confirmed before are there still, and those that came since follow them."""
        newest = self.farm.height() - CONFIRMATIONS
        known = max(self.blocks, default=-1)
        assert newest >= known, "the chain is shorter than what was confirmed"
        for number in range(max(0, known - back + 1), newest + 1):
            block = self.farm.rpc("eth_getBlockByNumber", hex(number), False)
            assert self.blocks.setdefault(number, block["hash"]) == block["hash"], number
            if number:
                assert block["parentHash"] == self.blocks.get(number - 1, block["parentHash"])

    def _look_at_plans(self) -> None:
        number = self.farm.overview()["plan_number"]
        assert number >= self.plan, "the plan's number fell"
        self.plan = number

    def _look_at_jobs(self) -> None:
        statement = "SELECT id, state, generation, steps_done FROM jobs"
        for job, *seen in query(self.database, statement):
            state, generation, steps = seen
            before = self.jobs.get(job, ("queued", 0, 0))
            assert (generation, steps) >= before[1:], (job, before, seen)
            assert state == before[0] or before[0] not in FINAL, (job, before, seen)
            self.jobs[job] = (state, generation, steps)

    def _look_at_money(self) -> None:
        invoices = query(self.database, "SELECT job, count(*) FROM invoices GROUP BY job")
        assert all(count == 1 for _, count in invoices)
        posted = query(self.database, "SELECT sum(amount_micro) FROM ledger")[0][0]
        owed = query(self.database, "SELECT sum(total_micro) FROM invoices")[0][0]
        assert posted == owed, "the ledger is not what was invoiced"

    @property
    def database(self) -> Path:
        return self.farm.home / "farm.db"

    def conclude(self, sent: Sequence[Sent], ordered: Sequence[str], curve: list[float]) -> None:
        """Nothing lost, nothing doubled, over the whole time."""
        self.look()
        self.look_at_blocks(len(self.blocks))
        self._judge_transactions(sent)
        self._judge_jobs(ordered, curve)
        self._judge_events(ordered)

    def _judge_transactions(self, sent: Sequence[Sent]) -> None:
        """Each that the node took is in exactly one block, and its wei arrived once."""
        where = []
        for one in sent:
            until(lambda h=one.hash: self.farm.rpc("eth_getTransactionReceipt", h), 120, one.hash)
            receipt = self.farm.rpc("eth_getTransactionReceipt", one.hash)
            assert int(receipt["status"], 16) == 1
            where.append((receipt["blockNumber"], receipt["transactionIndex"]))
        assert len(set(where)) == len(sent)
        arrived = int(self.farm.rpc("eth_getBalance", "0x" + RECEIVER.hex(), "latest"), 16)
        assert arrived == len(sent)

    def _judge_jobs(self, ordered: Sequence[str], curve: list[float]) -> None:
        """Each ran every step once, to the same losses as undisturbed, and is billed once."""
        rows = query(
            self.database,
            "SELECT j.id, j.state, j.steps_done, j.device_seconds, j.price_micro_per_hour,"
            " i.total_micro FROM jobs j LEFT JOIN invoices i ON i.job = j.id",
        )
        assert sorted(row[0] for row in rows) == sorted(ordered)
        for job, state, steps, seconds, price, billed in rows:
            assert (state, steps) == ("done", len(curve)), job
            assert seconds > 0 and billed == charge_micro(seconds, price), job
            results = self.farm.client.get(f"/v1/jobs/{job}")["results"]
            kept = self.farm.home / "artifacts" / results["losses.txt"]
            assert [float(line) for line in kept.read_text().split()] == curve, job
            points = query(self.database, f"SELECT step, loss FROM job_losses WHERE job='{job}'")
            assert points and all(loss == curve[step - 1] for step, loss in points), job

    def _judge_events(self, ordered: Sequence[str]) -> None:
        """Every event of the rig arrived, and each job began and ended once."""
        outbox = self.farm.home / "rig" / "outbox.db"
        until(lambda: query(outbox, "SELECT count(*) FROM outbox") == [(0,)], 60, "empty outbox")
        told = query(self.database, "SELECT subject, text FROM events WHERE kind = 'job'")
        ended = Counter(subject for subject, text in told if "→ done" in text)
        begun = Counter(subject for subject, text in told if "queued →" in text)
        assert ended == begun == Counter(ordered)
        store = Store(self.farm.config.store_url)
        with store.begin() as tx:
            assert audit.first_broken(tx) is None
        store.close()


def judge_shares(home: Path, accepted: int) -> None:
    """Of a farm that has stopped: each accepted share is a block of ours, on the chain or beside
    it, and is counted at most once."""
    with lmdb.open(str(home / "node" / "chain"), readonly=True, max_dbs=32) as environment:
        headers = environment.open_db(b"headers", create=False)
        with environment.begin() as transaction:
            blocks = transaction.stat(headers)["entries"] - 1
    assert 0 < accepted <= blocks, (accepted, blocks)


def undisturbed_curve(folder: Path, steps: int) -> list[float]:
    """Losses of the same job, run through without a farm around it."""
    folder.mkdir(parents=True)
    spec = JobSpec(kind="digits-cnn", total_steps=steps, parameters=JOB)
    (folder / JOB_FILE).write_text(spec.model_dump_json())
    command = (sys.executable, "-m", "farmctl.training.run", str(folder))
    # Its standard input stays open: the end of it asks for a drain.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait(300) == 0
    losses = (folder / "losses.txt").read_text().split()
    assert len(losses) == steps
    return [float(loss) for loss in losses]
