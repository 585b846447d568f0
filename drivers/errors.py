"""Errors of device drivers.

DriverError
├── DriverMissing      the vendor's library is not installed
├── NotSupported       the device cannot do this at all
├── PermissionDenied   it could, but this process may not
├── DeviceLost         the device no longer answers (unplugged, fell off the bus, worker died)
├── DeviceBusy         another session holds the device
├── DeadlineExceeded   no answer in time; the session's worker was ended
├── BadArgument        the caller's request makes no sense for this device
├── OutOfMemory        the request needs more memory than the session may use
├── WrongAnswer        what the device computed is not so, as another check has shown
└── SelfTestFailed     the device gave a wrong known answer and may not work
"""


class DriverError(Exception):
    """A device or its driver failed."""


class DriverMissing(DriverError):
    """The vendor's library is not installed."""


class NotSupported(DriverError):
    """The device cannot do this."""


class PermissionDenied(DriverError):
    """This process may not do this; run the agent with the rights that the message names."""


class DeviceLost(DriverError):
    """The device no longer answers."""


class DeviceBusy(DriverError):
    """Another session holds the device."""


class DeadlineExceeded(DriverError):
    """The device did not answer in time."""


class BadArgument(DriverError):
    """The request makes no sense for this device."""


class OutOfMemory(DriverError):
    """The request needs more memory than the session may use; allow more, or ask for less."""


class WrongAnswer(DriverError):
    """What the device computed is wrong; it must prove itself again."""


class SelfTestFailed(DriverError):
    """The device gave a wrong known answer; it may not work at this capability."""
