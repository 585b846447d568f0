"""XID events: what NVIDIA's driver reports when a GPU fails."""

from __future__ import annotations

from collections import defaultdict, deque

from drivers.base import Health, HealthStatus

KEPT_XIDS = 16

#: XIDs after which the GPU itself is in doubt (NVIDIA, "XID Errors").
CRITICAL = {
    48: "double-bit ECC error",
    62: "internal microcontroller halt",
    63: "memory row remapping recorded",
    64: "memory row remapping failed",
    74: "NVLink error",
    79: "the GPU has fallen off the bus",
    92: "high rate of single-bit ECC errors",
    94: "contained ECC error",
    95: "uncontained ECC error",
    119: "GSP does not answer",
    120: "GSP error",
}
NEEDS_RESET = {48, 62, 64, 74, 95, 119, 120}
LOST = {79}


class XidLog:
    """The last XIDs of each GPU, by UUID. One that an application causes (13, 31, 43, 45)
    says nothing of the GPU and leaves it healthy."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=KEPT_XIDS))

    def add(self, uuid: str, xid: int) -> None:
        self._seen[uuid].append(xid)

    def codes(self, uuid: str) -> tuple[str, ...]:
        return tuple(f"xid_{xid}" for xid in dict.fromkeys(self._seen[uuid]) if xid in CRITICAL)

    def health(self, uuid: str) -> Health | None:
        """What the events seen mean; None if they leave the GPU in health."""
        seen = set(self._seen[uuid]) & CRITICAL.keys()
        if not seen:
            return None
        status = HealthStatus.DEGRADED
        if seen & NEEDS_RESET:
            status = HealthStatus.NEEDS_RESET
        if seen & LOST:
            status = HealthStatus.LOST
        reason = "; ".join(CRITICAL[xid] for xid in sorted(seen))
        return Health(status, self.codes(uuid), reason)
