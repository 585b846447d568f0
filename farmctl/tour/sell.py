"""Step 1: capacity is offered, quoted and ordered; the job runs and is metered."""

from __future__ import annotations

import random
from typing import Any

from farmctl.errors import Conflict, FarmError, Refused
from farmctl.tour.guide import Guide

KIND = "digits-cnn"
STEPS = 800
#: Large, so that a step takes long enough to be interrupted by a person on a fast machine.
BATCH_IMAGES = 256
CUSTOMER = "tour"
START_SECONDS = 180.0
#: One training step every so often is the slowest that is waited for.
SECONDS_PER_STEP = 0.5
ENDS = frozenset({"done", "failed", "cancelled"})


def sell_job(guide: Guide) -> dict[str, Any]:
    """Order a training job and see it begin; the job. Raises `Conflict` where the device is
    not free to be sold."""
    _check_device(guide)
    for offer in guide.client.get("/v1/offers"):
        hour = guide.money(offer["price_micro_per_hour"])
        floor = guide.money(offer["floor_micro_per_hour"])
        guide.say(f"offer: {offer['device']} at {hour} an hour (mining earns {floor})")
    # A seed of its own makes each tour's model a new one, so that nothing is known of it yet.
    job = order(guide, "digits, preempted", random.randrange(1, 10**6))
    began = guide.wait(
        "the device leaves mining for the job", lambda: _begun(guide, job), START_SECONDS
    )
    guide.note("job", f"{job['id']}, {STEPS} steps of PyTorch in a sandbox on {began['device']}")
    show_plan(guide)
    return began


def show_plan(guide: Guide) -> None:
    """What the planner has the device do now, and why."""
    device, number = guide.look(), guide.client.get("/v1/overview")["plan_number"]
    guide.say(f"plan {number}: {guide.device} does {device['wanted']} ({device['why']})")


def _check_device(guide: Guide) -> None:
    device = guide.look()
    if device["state"] != "healthy":
        raise Conflict(f"{guide.device} is {device['state']}: {device['reason']}")
    if device["locked"]:
        raise Conflict(
            f"{guide.device} is locked; `farmctl switch {guide.device} --unlock` leaves it to "
            "the planner"
        )
    missing = {"cuckoo", "infer", "train"} - set(device["capabilities"])
    if missing:
        raise Conflict(
            f"{guide.device} cannot {', '.join(sorted(missing))}; `farmctl doctor` says why"
        )


def order(guide: Guide, name: str, seed: int) -> dict[str, Any]:
    parameters = {"steps": str(STEPS), "seed": str(seed), "batch_size": str(BATCH_IMAGES)}
    wanted = {"kind": KIND, "parameters": parameters, "interruptible": True}
    quote = guide.client.post("/v1/quotes", wanted)
    guide.note(
        f"quote for “{name}”",
        f"{guide.money(quote['estimated_total_micro'])} for about "
        f"{quote['estimated_device_seconds']:.1f} device-seconds",
    )
    body = {"quote": quote["id"], "name": name, "customer": CUSTOMER}
    job: dict[str, Any] = guide.client.post("/v1/jobs", body)
    return job


def look(guide: Guide, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it is now. Raises `Refused` when it has failed."""
    found: dict[str, Any] = guide.client.get(f"/v1/jobs/{job['id']}")
    if found["state"] in ("failed", "cancelled"):
        raise Refused(f"job {job['id']} has {found['state']}: {found['detail']}")
    return found


def wait_done(guide: Guide, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it is done."""

    def done() -> dict[str, Any] | None:
        found = look(guide, job)
        return found if found["state"] == "done" else None

    seconds = START_SECONDS + STEPS * SECONDS_PER_STEP
    return guide.wait(f"{job['name']} finishes", done, seconds, lambda: progress(guide, job))


def progress(guide: Guide, job: dict[str, Any]) -> tuple[float, float]:
    found = look(guide, job)
    return found["steps_done"], found["total_steps"]


def show_invoice(guide: Guide, job: dict[str, Any]) -> None:
    """Quoted and invoiced. Raises `FarmError` where a job that is done has no invoice."""
    invoices = guide.client.get("/v1/invoices")
    found = next((each for each in invoices if each["job"] == job["id"]), None)
    if found is None:
        raise FarmError(f"job {job['id']} is done and has no invoice; see `farmctl job show`")
    guide.note(
        f"invoice for “{job['name']}”",
        f"{guide.money(found['total_micro'])} for {found['device_seconds']:.3f} device-seconds "
        f"(quoted {guide.money(job['quoted_total_micro'])})",
    )


def _begun(guide: Guide, job: dict[str, Any]) -> dict[str, Any] | None:
    found = look(guide, job)
    return found if found["steps_done"] > 0 or found["state"] in ENDS else None
