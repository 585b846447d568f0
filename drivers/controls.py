"""The settings of a device that can be changed: clamped, read back, and put back at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.base import Applied, Limits
from drivers.errors import BadArgument, DeviceLost, DriverError, NotSupported

Setting = float | None
"""A value, or None: the device chooses for itself."""


@dataclass(frozen=True)
class Control:
    """How one setting is read and changed, in the unit that its name tells.

    ``limits`` raises `NotSupported` where the device lacks the control. ``write`` gets a value
    within the limits, or None where the device shall choose again.
    """

    limits: Callable[[], Limits]
    read: Callable[[], Setting]
    write: Callable[[Setting], None]


class Controls:
    """The controls of one device, and what each was when the device was first seen.

    ``originals`` is kept by whoever outlives the device object: a device that is discovered
    again must be put back to what it was before anything was changed.
    """

    def __init__(
        self, device_id: str, controls: Mapping[str, Control], originals: dict[str, Setting]
    ) -> None:
        self._device_id = device_id
        self._controls = controls
        self._originals = originals
        for name in controls.keys() - originals.keys():
            self._remember(name)

    def limits(self) -> dict[str, Limits]:
        """Of the controls that the device has. Raises `DeviceLost`."""
        found = {}
        for name, control in self._controls.items():
            try:
                found[name] = control.limits()
            except NotSupported:
                continue
        return found

    def settings(self) -> dict[str, Setting]:
        """What each control of `limits` is set to now. Raises `DeviceLost`."""
        return {name: self._controls[name].read() for name in self.limits()}

    def apply(self, name: str, value: Setting) -> Applied:
        """Set a control, clamped to its limits, and read it back. Raises `PermissionDenied`,
        `NotSupported`, or `BadArgument` where the value is no number."""
        control = self._controls.get(name)
        if control is None:
            raise NotSupported(f"{self._device_id} has no control {name!r}")
        limits = control.limits()
        if value is not None and value != value:
            raise BadArgument(f"{name} of {self._device_id} cannot be set to {value}")
        wanted = None if value is None else min(max(value, limits.minimum), limits.maximum)
        before = control.read()
        control.write(wanted)
        return Applied(name, before, value, control.read())

    def restore(self) -> None:
        """Put every control back. All are tried; the first error is raised at the end."""
        errors: list[DriverError] = []
        for name, original in self._originals.items():
            try:
                if name in self._controls and self._controls[name].read() != original:
                    self.apply(name, original)
            except DriverError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _remember(self, name: str) -> None:
        try:
            self._controls[name].limits()
            self._originals[name] = self._controls[name].read()
        except DeviceLost:
            raise
        except DriverError:
            return  # it cannot be read, so it will not be changed either


class Controlled:
    """A device's part of `drivers.base.Device` that concerns its controls. Without ``controls``
    it has none."""

    controls = Controls("the device", {}, {})

    def limits(self) -> Mapping[str, Limits]:
        return self.controls.limits()

    def settings(self) -> Mapping[str, Setting]:
        return self.controls.settings()

    def apply(self, control: str, value: Setting) -> Applied:
        return self.controls.apply(control, value)

    def restore(self) -> None:
        self.controls.restore()
