"""A device that computed wrongly, as the farm is told of it."""

from __future__ import annotations

import logging
import time
import uuid

from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.messages import INFER_MISMATCH, FaultEvent, RigEvent

log = logging.getLogger(__name__)


async def tell_mismatch(bus: Bus | None, model: str, device: str, what: str) -> None:
    """Log it, and have the controller put the device (key) into quarantine. One that is of no rig
    is only logged, as is any without a bus."""
    log.error("%s %s: model %s", device, what, model, extra={"action": INFER_MISMATCH})
    rig, _, local = device.partition("/")
    if bus is None or not local:
        return
    fault = FaultEvent(
        device=local, code=INFER_MISMATCH, step="quarantine", detail=f"{what}: model {model}"
    )
    event = RigEvent(id=uuid.uuid4().hex, rig=rig, at=time.time(), body=fault)
    try:
        await bus.append(f"event.{rig}", event, event.id)
    except BusError as error:
        log.warning("the fault was not told: %s", error, extra={"action": "bus_lost"})
