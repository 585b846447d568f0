"""Who may join the farm: a one-time code admits a rig that brings public keys of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmctl import bus_server
from farmctl.domain import LENT_RIG
from farmctl.errors import BadRequest, Conflict, NotFound, Refused, Unauthorised, Unavailable
from farmctl.fleet import authority
from farmctl.store import Transaction, audit, inventory, jobs, tokens

if TYPE_CHECKING:
    from farmctl.farm import Farm

log = logging.getLogger(__name__)
CODE_SECONDS = 15 * 60.0
PURPOSE = "enrol"


@dataclass(frozen=True)
class Admission:
    """What an admitted rig needs to join the bus; certificates are PEM."""

    rig: str
    certificate: str
    authority: str
    bus_port: int
    bus_secured: bool


def create_code(farm: Farm, rig: str, actor: str) -> tuple[str, float]:
    """A code with which one rig may enrol under this name, and when it runs out; until then the
    name is kept for it. Raises `Conflict` when the name is taken or kept, `Refused` when the
    farm's bus is not its own."""
    if farm.config.bus.url:
        raise Refused("this farm uses a NATS server of yours; let the rig join there")
    expires = farm.clock() + CODE_SECONDS
    with farm.store.begin() as tx:
        _check_free(farm, tx, rig)
        if tokens.has_code(tx, PURPOSE, rig, farm.clock()):
            raise Conflict(f"{rig} is being enrolled; `farmctl rig remove {rig}` ends that")
        code = tokens.create_code(tx, PURPOSE, rig, expires)
        audit.append(tx, farm.clock(), actor, "create enrolment", rig)
    return code, expires


def enrol(farm: Farm, code: str, key: str, request: str) -> Admission:
    """Admit the rig that shows a valid code. ``key`` is its public nkey, ``request`` its PEM
    certificate request. A refused attempt changes nothing. Raises `Unauthorised`, `Conflict`,
    `BadRequest`."""
    if not bus_server.nkeys_public(key):
        raise BadRequest("the rig's key is no public nkey of a user; nothing was changed")
    with farm.store.begin() as tx:
        rig = _spend_code(farm, tx, code)
        secrets = farm.config.home / "secrets"
        certificate, trusted = authority.sign_request(secrets, rig, request)
        audit.append(tx, farm.clock(), rig, "enrol", rig, key)
    farm.keeper.welcome(rig)
    bus_server.admit_rig(farm.config.home, rig, key)
    try:
        bus_server.reload(farm.config)
    except Unavailable as error:
        log.warning("%s is admitted once the bus is back: %s", rig, error)
    farm.tell("rig", rig, f"{rig} has enrolled")
    bus = farm.config.bus
    return Admission(rig, certificate, trusted, bus.port, farm.config.bus_is_secured)


def _spend_code(farm: Farm, tx: Transaction, code: str) -> str:
    """The name that a code stands for, still free."""
    rig = tokens.use_code(tx, PURPOSE, code, farm.clock())
    if rig is None:
        raise Unauthorised("this code is wrong, was used or has run out; make another one")
    _check_free(farm, tx, rig)
    return rig


def remove(farm: Farm, rig: str, actor: str) -> None:
    """Cut a rig off the bus at once and forget its devices; its jobs go to others. A code that
    was not used yet is worthless afterwards. Raises
    `NotFound` for an unknown rig, `Refused` for the controller's own machine."""
    if rig == farm.config.farm.rig:
        raise Refused(f"{rig} is the machine of the controller itself")
    admitted = bus_server.admitted_key(farm.config.home, rig) is not None
    bus_server.expel_rig(farm.config.home, rig)
    if not farm.config.bus.url:
        bus_server.reload(farm.config)
    with farm.store.begin() as tx:
        for record in inventory.devices(tx):
            if record.device.rig == rig:
                jobs.release(tx, record.device.key, keeps=None)
        kept = tokens.withdraw_codes(tx, PURPOSE, rig)
        if not farm.keeper.remove(tx, rig) and not admitted and not kept:
            raise NotFound(f"there is no rig {rig}; `farmctl rig list` lists them")
        audit.append(tx, farm.clock(), actor, "remove rig", rig)
    farm.tell("rig", rig, f"{rig} was removed", "warning")
    farm.mark_dirty()


def _check_free(farm: Farm, tx: Transaction, rig: str) -> None:
    if rig == LENT_RIG:
        raise Conflict(f"{rig} is the rig of the browsers that lend; choose another name")
    taken = rig == farm.config.farm.rig or bus_server.admitted_key(farm.config.home, rig)
    if taken or any(record.rig.name == rig for record in inventory.rigs(tx)):
        raise Conflict(f"there is a rig {rig} already; choose another name or remove that one")
