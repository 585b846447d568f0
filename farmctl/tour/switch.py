"""Step 6: a person takes the device and gives it back; how long each took to be confirmed."""

from __future__ import annotations

from farmctl.tour.guide import Guide


def switch_device(guide: Guide) -> None:
    """As ``farmctl switch cpu:0 idle --lock`` and ``--unlock`` do."""
    try:
        locked = guide.switch("switch", {"workload": "idle", "lock": True})
        guide.note(f"switch {guide.device} idle --lock", _describe(locked["seconds"]))
    finally:
        unlocked = guide.switch("unlock")
    guide.note(f"switch {guide.device} --unlock", _describe(unlocked["seconds"]))


def _describe(seconds: float) -> str:
    return f"confirmed by its rig after {seconds:.2f} s"
