"""What the kernel says of devices that come and go, where udev can be heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyudev


def listen(
    subsystems: Sequence[str], callback: Callable[[str], None], name: str
) -> Callable[[], None] | None:
    """Call back with each event of some subsystems, from a thread, until the returned function
    is called. None where udev cannot be heard: then the caller looks again and again."""
    try:
        monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    except (ImportError, OSError):
        return None
    for subsystem in subsystems:
        monitor.filter_by(subsystem)

    def tell(device: pyudev.Device) -> None:
        callback(f"{device.action} {device.sys_name}")

    observer = pyudev.MonitorObserver(monitor, callback=tell, name=name)
    observer.start()
    return lambda: observer.stop()
