"""The node's end of the processes that execute calls: each call has its time, then it is ended."""

from __future__ import annotations

import logging
import queue
import time
from typing import cast

from node.errors import NodeError
from node.rpc.errors import Overloaded, ServerError
from node.rpc.simulation.calls import Call, CallResult
from node.rpc.simulation.messages import Ask, Job, Setup
from node.spec.trie import MissingNode
from node.spec.types import Header
from node.spec.vm.context import Infer, InferLogicError, InferRuntimeError
from node.worker.child import Child

PROCESS = "node.rpc.simulation.process"
START_SECONDS = 60.0
#: A call waits so long for a process that is free.
WAIT_SECONDS = 20.0

log = logging.getLogger(__name__)


class CallPool:
    """A `Caller` for several threads at once. Processes are started when they are first needed."""

    def __init__(self, setup: Setup, infer: Infer, processes: int, seconds: float) -> None:
        self._setup = setup
        self._infer = infer
        self._processes = processes
        self._seconds = seconds
        self._is_closed = False
        self._free: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)

    def call(self, wanted: Call, header: Header, most_gas: int) -> CallResult:
        return self._do(Job(wanted, header, most_gas))

    def estimate(self, wanted: Call, header: Header) -> CallResult:
        return self._do(Job(wanted, header, None))

    def close(self) -> None:
        """After the calls that are going on."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in range(self._processes):
            child = self._free.get(timeout=START_SECONDS + WAIT_SECONDS)
            if child is not None:
                child.end()

    def _do(self, job: Job) -> CallResult:
        child = self._take()
        try:
            child = child or self._start()
            result = self._converse(child, job, self._seconds)
        except (EOFError, OSError) as error:
            if child is not None:
                child.end()
                child = None
            raise self._explain(error) from error
        finally:
            self._free.put(child)
        return result

    def _take(self) -> Child | None:
        try:
            child = self._free.get(timeout=WAIT_SECONDS)
        except queue.Empty as error:
            raise Overloaded("too many calls at once; try again") from error
        if self._is_closed:
            self._free.put(child)
            raise ServerError("the node is closing")
        return child

    def _start(self) -> Child:
        child = Child(PROCESS)
        try:
            self._converse(child, self._setup, START_SECONDS)
        except (EOFError, OSError, NodeError):
            child.end()
            raise
        return child

    def _converse(self, child: Child, message: Setup | Job, seconds: float) -> CallResult:
        """Raises what the process answers with, or `EOFError` or `OSError` where it is gone."""
        child.channel.send(message)
        deadline = time.monotonic() + seconds
        while child.channel.poll(max(0.0, deadline - time.monotonic())):
            said = child.channel.recv()
            if isinstance(said, Ask):
                began = time.monotonic()
                child.channel.send(self._answer(said))
                deadline += time.monotonic() - began  # an engine has limits of its own
            elif isinstance(said, NodeError | MissingNode):
                raise said
            else:
                return cast(CallResult, said)
        raise TimeoutError

    def _answer(self, ask: Ask) -> object:
        try:
            return getattr(self._infer, ask.topic.value)(*ask.arguments)
        except (InferLogicError, InferRuntimeError) as error:
            return error

    def _explain(self, error: Exception) -> ServerError:
        if isinstance(error, TimeoutError):
            return ServerError(f"execution aborted (timeout = {self._seconds:g}s)")
        log.warning("a process for calls ended", exc_info=error, extra={"action": "call_lost"})
        return ServerError("the process of this call ended; try again")
