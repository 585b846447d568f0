"""Step 2: a person takes the device from the job half-way; it ends as if nobody had."""

from __future__ import annotations

import time
from typing import Any

from farmctl.errors import FarmError
from farmctl.tour.guide import SWITCH_SECONDS, Guide
from farmctl.tour.sell import (
    SECONDS_PER_STEP,
    START_SECONDS,
    STEPS,
    look,
    order,
    progress,
    show_invoice,
    show_plan,
    wait_done,
)

#: The device is asked for at this step, so that the job gives way at about half of them.
ASKED_STEP = STEPS * 2 // 5


def preempt_job(guide: Guide, job: dict[str, Any]) -> dict[str, Any]:
    """Preempt the job, let it finish, and compare it with an undisturbed one; the job."""
    try:
        stopped = _take_device(guide, job)
    finally:
        given = guide.switch("unlock")
    _wait_resumed(guide, job, stopped, given)
    done = wait_done(guide, job)
    if done["preemptions"] < 1 or not 0 < stopped["steps_done"] < STEPS:
        raise FarmError("the job was not preempted half-way: the device is too fast for its steps")
    _wait_mining(guide)
    calm = _run_undisturbed(guide, int(job["parameters"]["seed"]))
    _compare(guide, done, calm)
    for each in (done, calm):
        show_invoice(guide, each)
    return done


def _take_device(guide: Guide, job: dict[str, Any]) -> dict[str, Any]:
    """Lock the device idle about half-way; the job as it then waits."""

    def far_enough() -> bool | None:
        return progress(guide, job)[0] >= ASKED_STEP or None

    seconds = STEPS * SECONDS_PER_STEP
    guide.wait("the job is half-way", far_enough, seconds, lambda: progress(guide, job))
    taken = guide.switch("switch", {"workload": "idle", "lock": True})

    def waiting() -> dict[str, Any] | None:
        found = look(guide, job)
        return found if found["state"] in ("preempted", "done") else None

    stopped = guide.wait("the job has checkpointed", waiting, SWITCH_SECONDS)
    guide.note(
        "preempted by a manual switch",
        f"{taken['seconds']:.2f} s until its rig confirmed it; checkpoint at step "
        f"{stopped['steps_done']} of {STEPS}",
    )
    return stopped


def _wait_resumed(
    guide: Guide, job: dict[str, Any], stopped: dict[str, Any], given: dict[str, Any]
) -> None:
    def resumed() -> float | None:
        found = look(guide, job)
        return time.time() if found["steps_done"] > stopped["steps_done"] else None

    at = guide.wait("the job goes on from its checkpoint", resumed, START_SECONDS)
    guide.note(
        "device given back",
        f"{given['seconds']:.2f} s until its rig confirmed it; the next step was done after "
        f"{at - given['asked']:.1f} s",
    )


def _wait_mining(guide: Guide) -> None:
    def mines() -> bool | None:
        return guide.look()["workload"] == "mine" or None

    guide.wait("the device goes back to mining", mines, SWITCH_SECONDS)
    show_plan(guide)


def _run_undisturbed(guide: Guide, seed: int) -> dict[str, Any]:
    return wait_done(guide, order(guide, "digits, undisturbed", seed))


def _compare(guide: Guide, job: dict[str, Any], calm: dict[str, Any]) -> None:
    """Both curves, to the last bit. Raises `FarmError` where they differ."""
    curves = [_curve(guide, each) for each in (job, calm)]
    same = sum(one == other for one, other in zip(*curves, strict=False))
    if not len(curves[0]) == len(curves[1]) == same == STEPS:
        raise FarmError(f"the loss curves differ: {same} of {STEPS} steps are the same")
    guide.note(
        "loss curve, preempted and undisturbed",
        f"identical over {same} steps ({curves[0][0]:.4f} → {curves[0][-1]:.4f})",
    )


def _curve(guide: Guide, job: dict[str, Any]) -> list[float]:
    """Every step's loss, exactly."""
    content = guide.client.fetch_file(f"/v1/jobs/{job['id']}/results/losses.txt")
    return [float(line) for line in content.decode().split()]
