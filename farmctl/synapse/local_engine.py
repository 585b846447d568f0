"""An engine without a farm: this machine's processor, in a worker process of its own."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

from drivers.base import Capability
from drivers.errors import DeadlineExceeded, DeviceLost, DriverError, NotSupported
from drivers.worker import WorkerSession, open_session
from farmctl.inference.residency import Residency
from node.errors import EngineUnavailable, ModelFault
from node.inference import Answer, InferEngine, ReferenceEngine
from node.lowering import encode_heads, lower
from node.models.loading import GraphLoader
from node.spec.cvm import CvmError, Graph
from node.spec.cvm.execution import decode_input

FAMILY, DEVICE = "cpu", "cpu:0"
#: Models that are known to be for the reference alone.
REMEMBERED = 1024

log = logging.getLogger(__name__)


class LocalEngine:
    """A `node.inference.InferEngine`. ``resident_bytes`` bounds the parameters of loaded models.

    The worker that dies or hangs is replaced for the next request. A model that no device can
    take (`node.lowering` says which) is computed by the reference.
    """

    def __init__(
        self,
        loader: GraphLoader,
        resident_bytes: int,
        deadline_seconds: float = 30.0,
    ) -> None:
        self._loader = loader
        self._deadline_seconds = deadline_seconds
        self._reference: InferEngine = ReferenceEngine(loader)
        self._session: WorkerSession | None = None
        self._resident = Residency(resident_bytes)
        self._only_reference: OrderedDict[str, None] = OrderedDict()
        self._turn = threading.Lock()

    @property
    def worker_pid(self) -> int | None:
        return self._session.pid if self._session is not None else None

    def close(self) -> None:
        with self._turn:
            self._drop()

    def slots(self) -> int:
        """One computes, while another is made ready."""
        return 2

    def run(self, model: str, data: bytes) -> Answer:
        if model in self._only_reference:
            return self._reference.run(model, data)
        graph = self._loader.load(bytes.fromhex(model))
        try:
            values = decode_input(graph, data).astype("<i4").tobytes()
            output = encode_heads(graph, self._compute(model, graph, values))
        except CvmError as error:
            raise ModelFault(str(error), logic=error.logic, device=DEVICE) from error
        except NotSupported as error:
            log.info("model %s: %s", model, error, extra={"action": "reference_needed"})
            self._only_reference[model] = None
            while len(self._only_reference) > REMEMBERED:
                self._only_reference.popitem(last=False)
            return self._reference.run(model, data)
        except DriverError as error:
            raise EngineUnavailable(f"{DEVICE}: {error}") from error
        return Answer(output, DEVICE)

    def _compute(self, model: str, graph: Graph, values: bytes) -> bytes:
        with self._turn:
            session = self._session or self._open()
            try:
                self._load(session, model, graph)
                return session.run(model, values)
            except (DeviceLost, DeadlineExceeded) as error:
                log.warning("%s: %s", DEVICE, error, extra={"action": "worker_lost"})
                self._drop()
                raise

    def _load(self, session: WorkerSession, model: str, graph: Graph) -> None:
        """Have it resident; others make way."""
        was_resident = model in self._resident
        if not was_resident:
            program = lower(graph)
            for gone in self._resident.make_room(program.parameter_bytes):
                session.unload(gone)
            session.load(model, program)
            self._resident.add(model, graph.with_parameters({}), program.parameter_bytes)
        self._resident.use(model, 1, was_resident)

    def _open(self) -> WorkerSession:
        self._session = open_session(FAMILY, DEVICE, Capability.INFER, self._deadline_seconds)
        return self._session

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._resident.clear()
        if session is not None:
            session.close()
