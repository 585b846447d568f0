"""Step 2: a person takes the device from the job half-way; it ends as if nobody had."""

from __future__ import annotations

from typing import Any

from farmctl.errors import FarmError
from farmctl.tour.guide import SWITCH_SECONDS, Guide
from farmctl.tour.sell import STEPS, look, order, progress, show_invoice, wait_done

HALF = STEPS // 2


def preempt_job(guide: Guide, job: dict[str, Any]) -> dict[str, Any]:
    """Preempt the job, let it finish, and compare it with an undisturbed one; the job."""
    stopped = _take_device(guide, job)
    given = guide.switch("unlock")
    guide.note("device given back", f"{given['seconds']:.2f} s until its rig confirmed it")
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
    """Lock the device idle at half the steps; the job as it then waits."""

    def half() -> bool | None:
        return progress(guide, job)[0] >= HALF or None

    guide.wait("half the steps", half, STEPS * 0.5, lambda: progress(guide, job))
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


def _wait_mining(guide: Guide) -> None:
    def mines() -> bool | None:
        return bool(guide.client.get(guide.device_path)["workload"] == "mine") or None

    guide.wait("the device goes back to mining", mines, SWITCH_SECONDS)
    guide.say(f"{guide.device} mines again")


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
