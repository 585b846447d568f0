"""Work for a farm under test: transactions and training jobs, sent on whatever is killed."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import httpx

from farmctl.errors import Conflict, Refused, Unavailable
from node.chains.farmnet import FARMNET
from node.spec.crypto import private_address
from node.spec.transaction import Transaction
from tests.farm.running import RunningFarm

RETRY_SECONDS = 0.3
GAS, GAS_PRICE_WEI = 21_000, 10
RECEIVER = b"\x5a" * 20
JOB = {"seed": "7", "batch_size": "16", "checkpoint_steps": "20"}


class Load(ABC):
    """A thread that works until it is stopped; its failure is raised by `finish`."""

    def __init__(self, farm: RunningFarm) -> None:
        self.farm = farm
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Let it end what it has begun."""
        self._stopping.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{type(self).__name__} does not end"
        self.check()

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.work()
        except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
            self._failure = error

    @abstractmethod
    def work(self) -> None: ...


@dataclass(frozen=True)
class Sent:
    nonce: int
    hash: str


class Sender(Load):
    """One wei after another from the farm's coinbase, each transaction signed once and sent
    until the node has taken it."""

    def __init__(self, farm: RunningFarm) -> None:
        super().__init__(farm)
        self.sent: list[Sent] = []
        self._key = bytes.fromhex((farm.home / "node" / "key").read_text().strip())
        self.address = "0x" + private_address(self._key).hex()

    def work(self) -> None:
        nonce = len(self.sent)
        unsigned = Transaction(nonce, GAS_PRICE_WEI, GAS, RECEIVER, 1, b"")
        transaction = unsigned.sign(self._key, FARMNET.chain_id)
        raw, known = "0x" + transaction.encode().hex(), "0x" + transaction.hash().hex()
        while not self._take(raw):
            time.sleep(RETRY_SECONDS)
            if self._stopping.is_set():
                return
        self.sent.append(Sent(nonce, known))
        self._stopping.wait(RETRY_SECONDS)

    def _take(self, raw: str) -> bool:
        """Whether the node has it, from this attempt or from one whose answer was lost."""
        try:
            answer = self.farm.ask_node("eth_sendRawTransaction", raw)
        except (httpx.HTTPError, ValueError):
            return False
        said = answer.get("error", {}).get("message", "")
        passing = ("insufficient funds", "nonce too high")
        assert (
            not said
            or "already known" in said
            or "nonce too low" in said
            or any(text in said for text in passing)
        ), said
        return not any(text in said for text in passing)


class Customer(Load):
    """Orders one small training job after another, each at most once, and awaits it."""

    def __init__(self, farm: RunningFarm, steps: int) -> None:
        super().__init__(farm)
        self.steps = steps
        self.ordered: list[str] = []
        """Ids."""

    def work(self) -> None:
        name = f"job {len(self.ordered)}"
        quote = self._insist("POST", "/v1/quotes", self._request())
        try:
            order = {"quote": quote["id"], "name": name, "customer": "lab"}
            job = self._insist("POST", "/v1/jobs", order)
        except Conflict:  # the answer to an earlier attempt was lost
            job = next(j for j in self._insist("GET", "/v1/jobs") if j["name"] == name)
        self.ordered.append(job["id"])
        while job["state"] not in ("done", "failed", "cancelled"):
            time.sleep(RETRY_SECONDS)
            job = self._insist("GET", f"/v1/jobs/{job['id']}")
        assert job["state"] == "done", job

    def _request(self) -> dict[str, Any]:
        return {"kind": "digits-cnn", "parameters": JOB | {"steps": str(self.steps)}}

    def _insist(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, however often the controller must be asked."""
        while True:
            try:
                return self._ask(method, path, body)
            except (Unavailable, Refused) as error:
                last = error
            time.sleep(RETRY_SECONDS)
            if self._stopping.is_set() and method == "POST" and isinstance(last, Refused):
                raise last

    def _ask(self, method: str, path: str, body: Any) -> Any:
        client = self.farm.client
        return client.get(path) if method == "GET" else client.post(path, body)
