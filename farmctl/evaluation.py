"""Labelled sets run through the farm's own INFER workers: who asks, and the node's part in it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from farmctl.bus import Bus
from farmctl.messages import Message
from node.core import Node
from node.errors import NodeError
from node.models.errors import StorageError
from node.models.evaluation import Tally, evaluate
from node.models.index import Registered
from node.models.notices import LabelledSet
from node.rpc.methods.publishing import find_standing
from node.spec.meta import ModelMeta

#: Evaluations that are remembered.
REMEMBERED = 64


class EvaluationRequest(Message):
    """Begin, unless it was begun already, and tell how far it is."""

    model: str = Field(pattern="^0x[0-9a-fA-F]{40}$")
    """Address."""
    number: int = Field(default=-1, ge=-16, lt=16)
    """Which of the author's sets; -1 is the newest."""
    again: bool = False
    """Begin anew what has ended."""


class EvaluationReply(Message):
    state: Literal["running", "done", "failed", "refused"]
    items: int = 0
    done: int = 0
    right: int = 0
    seconds: float = 0.0
    comment: str = ""
    """The set's."""
    detail: str = ""
    """Why it failed or was refused."""


class _Ending(Exception):
    """The node stops."""


@dataclass
class _Evaluation:
    labelled: LabelledSet
    began: float
    tally: Tally
    state: Literal["running", "done", "failed"] = "running"
    seconds: float = 0.0
    detail: str = ""

    def reply(self) -> EvaluationReply:
        running = self.state == "running"
        return EvaluationReply(
            state=self.state,
            items=self.tally.items,
            done=self.tally.done,
            right=self.tally.right,
            seconds=time.monotonic() - self.began if running else self.seconds,
            comment=self.labelled.comment,
            detail=self.detail,
        )


class EvaluationDesk:
    """Runs one evaluation at a time, in a thread; its calls queue with the contracts'."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._kept: OrderedDict[tuple[str, LabelledSet], _Evaluation] = OrderedDict()
        self._ending = threading.Event()
        self._running: asyncio.Task[None] | None = None

    async def join(self, bus: Bus) -> None:
        """Answer on this bus. Raises `BusError`."""
        await bus.serve("node.evaluate", EvaluationRequest, self.answer)

    async def stop(self) -> None:
        self._ending.set()
        if self._running is not None:
            await self._running

    async def answer(self, request: EvaluationRequest) -> EvaluationReply:
        found = await asyncio.to_thread(self._find, request)
        if isinstance(found, str):
            return EvaluationReply(state="refused", detail=found)
        entry, labelled = found
        key = (request.model.lower(), labelled)
        known = self._kept.get(key)
        if known is None or (request.again and known.state != "running"):
            if self._running is not None and not self._running.done():
                return EvaluationReply(state="refused", detail="another evaluation runs; wait")
            known = _Evaluation(labelled, time.monotonic(), Tally(0, 0, 0))
            self._kept[key] = known
            self._kept.move_to_end(key)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
            work = asyncio.to_thread(self._run, entry.meta.hash, known)
            self._running = asyncio.create_task(work)
        return known.reply()

    def _find(self, request: EvaluationRequest) -> tuple[Registered, LabelledSet] | str:
        """The model and the set, or why there is none."""
        entry = self._node.index.find(bytes.fromhex(request.model[2:]))
        if entry is None or not isinstance(entry.meta, ModelMeta):
            return f"{request.model} is no model on the chain"
        sets = find_standing(self._node, entry.address, entry.meta).test_sets
        if not -len(sets) <= request.number < len(sets):
            return f"its author has published {len(sets)} test sets"
        return entry, sets[request.number]

    def _run(self, infohash: bytes, evaluation: _Evaluation) -> None:
        def report(tally: Tally) -> None:
            evaluation.tally = tally
            if self._ending.is_set():
                raise _Ending

        node = self._node
        try:
            evaluate(node.loader, node.inference.engine, infohash, evaluation.labelled, report)
        except (NodeError, StorageError, _Ending) as error:
            evaluation.detail = str(error) or "the node stops"
            evaluation.state = "failed"
        else:
            evaluation.state = "done"
        evaluation.seconds = time.monotonic() - evaluation.began
