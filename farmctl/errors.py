"""Errors a user can see. The docstring of each is its default message and names the cure.

FarmError
├── ConfigError        farm.toml or the environment
├── NotFound           an unknown rig, device, job, model …
├── Refused            asked for something the rules do not allow
│   ├── Unauthorised   no token, or a wrong one
│   └── Conflict       the state has moved on
├── BadRequest         malformed input; nothing was changed
│   └── BadWork        work from a node that nobody can search
├── BusError           the message bus cannot be reached, or a message is malformed
├── StoreError         the database or a file cannot be read or written
└── Unavailable        a part of the farm is down or still starting; try again
"""

from __future__ import annotations

import inspect


class FarmError(Exception):
    """Something went wrong in the farm."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)) or type(self).__name__)


class ConfigError(FarmError):
    """The configuration is wrong; correct farm.toml or the FARMCTL_ variable that is named."""


class NotFound(FarmError):
    """There is no such thing; list what there is with the matching command."""


class Refused(FarmError):
    """The rules do not allow this."""


class Unauthorised(Refused):
    """This needs a valid token; `farmctl token` prints one on the controller."""


class Conflict(Refused):
    """The state has changed meanwhile; read it again and repeat."""


class BadRequest(FarmError):
    """The request is malformed; nothing was changed."""


class BadWork(BadRequest):
    """The node's work cannot be searched; look at the chain that the node serves."""


class BusError(FarmError):
    """The message bus cannot be reached; `farmctl up` starts one."""


class StoreError(FarmError):
    """The store cannot be read or written; look at free space and permissions."""


class Unavailable(FarmError):
    """A part of the farm is not ready yet; try again in a moment."""
