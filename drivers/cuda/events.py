"""Events of the NVIDIA driver: XIDs as they come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pynvml

from drivers.cuda.nvml import translated_errors
from drivers.cuda.xid import CRITICAL, XidLog

EVENT_WAIT_MS = 500


def listen(xids: XidLog, callback: Callable[[str], None]) -> Callable[[], None]:
    """Note each XID and call back with its meaning, from a thread, until the returned function
    is called. Raises `NotSupported` where the GPUs have no events."""
    events = _register()
    ended = threading.Event()
    thread = threading.Thread(
        target=_run, args=(events, xids, ended, callback), name="xid-events", daemon=True
    )
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()

    return end


def _register() -> Any:
    with translated_errors():
        events = pynvml.nvmlEventSetCreate()
        for index in range(pynvml.nvmlDeviceGetCount()):
            with suppress(pynvml.NVMLError_GpuIsLost):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                kind = pynvml.nvmlEventTypeXidCriticalError
                pynvml.nvmlDeviceRegisterEvents(handle, kind, events)
    return events


def _run(
    events: Any, xids: XidLog, ended: threading.Event, callback: Callable[[str], None]
) -> None:
    while not ended.is_set():
        try:
            event = pynvml.nvmlEventSetWait(events, EVENT_WAIT_MS)
            uuid, xid = pynvml.nvmlDeviceGetUUID(event.device), int(event.eventData)
        except pynvml.NVMLError_Timeout:
            continue
        except pynvml.NVMLError as error:
            callback(f"NVML events ended: {error}")
            return
        xids.add(uuid, xid)
        callback(f"{uuid}: XID {xid}, {CRITICAL.get(xid, 'see NVIDIA’s list of XIDs')}")
