"""INFER cross-checks by browsers: of the requests that the farm's workers answer, those for small
models are computed again by a browser, and its answer is held against the reference.

What a browser answers never becomes a result: it is another look at a model by another machine,
and it shows whether the browser computes rightly.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from drivers.errors import NotSupported, WrongAnswer
from drivers.program import Program
from farmctl.agent.models import is_model
from farmctl.browsers.lent import LentBrowser
from farmctl.bus import Bus
from farmctl.errors import NotFound
from farmctl.inference.messages import InferRequest
from farmctl.model_transfer import FileName, ask
from node.lowering import encode_heads, lower
from node.spec.cvm import CvmError, Graph, load, run
from node.spec.cvm.execution import decode_input

#: What a browser is sent of a model; in base64 it stays below the limit of a message.
MODEL_BYTES_LIMIT = 512 * 1024
#: Operations of a model, by its own count: about a second in a browser.
OPERATIONS_LIMIT = 200_000_000
#: Models known to be small, or known not to be.
KNOWN_LIMIT = 64


@dataclass(frozen=True)
class SmallModel:
    graph: Graph
    program: Program


class SmallModels:
    """The node's models as far as a browser can run them; the longest unused are forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, SmallModel | None] = OrderedDict()

    async def find(self, bus: Bus, infohash: str) -> SmallModel | None:
        """None for a model that is too large or that devices cannot run. Raises `NotFound` where
        the node sends something else, `BusError` where it does not answer."""
        if infohash not in self._known:
            self._known[infohash] = await self._read(bus, infohash)
        self._known.move_to_end(infohash)
        while len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)
        return self._known[infohash]

    async def _read(self, bus: Bus, infohash: str) -> SmallModel | None:
        symbol = await _fetch_small(bus, infohash, "symbol")
        parameters = await _fetch_small(bus, infohash, "params")
        if symbol is None or parameters is None:
            return None
        if not is_model(infohash, {"symbol": symbol, "params": parameters}):
            raise NotFound(f"the node sent other files than those of model {infohash}")
        try:
            return await asyncio.to_thread(_prepare, symbol, parameters)
        except (CvmError, NotSupported):
            return None


def _prepare(symbol: bytes, parameters: bytes) -> SmallModel | None:
    graph = load(symbol, parameters, extended=True)
    program = lower(graph)
    small = program.parameter_bytes <= MODEL_BYTES_LIMIT
    return SmallModel(graph, program) if small and graph.operations() <= OPERATIONS_LIMIT else None


async def _fetch_small(bus: Bus, infohash: str, name: FileName) -> bytes | None:
    """A file that fits one message; None for a larger one."""
    reply = await ask(bus, infohash, name)
    if not reply.found:
        raise NotFound(f"the node has no model {infohash}: {reply.detail}")
    whole = len(reply.chunk) == reply.total_bytes <= MODEL_BYTES_LIMIT
    return reply.chunk if whole else None


async def check(browser: LentBrowser, model: SmallModel, request: InferRequest) -> bool | None:
    """Whether the browser's answer is that of the reference, to the bit; None where the request
    itself is at fault. Raises `DriverError` where it gives none."""
    try:
        expected = await asyncio.to_thread(run, model.graph, request.input)
        values = decode_input(model.graph, request.input).astype("<i4").tobytes()
    except CvmError:
        return None
    answer = await browser.infer(model.program, values)
    try:
        return encode_heads(model.graph, answer) == expected
    except (WrongAnswer, CvmError):
        return False
