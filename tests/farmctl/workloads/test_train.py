"""Training jobs as a runner works them: real sandbox, real training, checkpoints that travel."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from pathlib import Path

import pytest

from farmctl.agent.link import BusLink
from farmctl.domain import JobState, Priority, Workload
from farmctl.errors import BadRequest, BusError, Conflict, Refused, StoreError, Unavailable
from farmctl.messages import AssignmentMessage, JobProgress
from farmctl.training.protocol import JobSpec
from farmctl.training.trainers.digits_cnn import create
from farmctl.workloads.base import Place
from farmctl.workloads.train import Train
from tests.farmctl.rig_bench import ArtifactShelf, Told, until

STEPS = 100


def assignment(generation: int = 1, **parameters: str) -> AssignmentMessage:
    return AssignmentMessage(
        device="cpu:0",
        workload=Workload.TRAIN,
        priority=Priority.INTERRUPTIBLE,
        reason="test",
        job_id="job-1",
        generation=generation,
        parameters={
            "kind": "digits-cnn",
            "total_steps": str(STEPS),
            "checkpoint_steps": "20",
            **parameters,
        },
    )


def progress(told: Told) -> list[JobProgress]:
    return [event for event in told if isinstance(event, JobProgress)]


def undisturbed_curve() -> list[str]:
    trainer = create(JobSpec(kind="digits-cnn", total_steps=STEPS))
    return [repr(trainer.step(index)) for index in range(STEPS)]


async def finish(place: Place, told: Told, wanted: AssignmentMessage) -> JobProgress:
    job = Train(place, wanted)
    await job.start()
    await asyncio.wait_for(job.run(), 60)
    await job.stop()
    last = progress(told)[-1]
    assert last.state is JobState.DONE, last
    return last


async def test_a_job_goes_on_elsewhere_with_the_same_curve(
    place: Place, told: Told, shelf: ArtifactShelf, tmp_path: Path
) -> None:
    job = Train(place, assignment())
    await job.start()
    running = asyncio.create_task(job.run())
    await until(lambda: any(p.steps_done > 0 for p in progress(told)))
    await job.stop()
    await running
    left = progress(told)[-1]
    assert left.state is JobState.PREEMPTED
    assert 0 < left.steps_done < STEPS
    assert left.checkpoint in shelf.files

    # Another rig: nothing of the first one's disk is there.
    third = dataclasses.replace(place, folder=tmp_path / "third")
    done = await finish(third, told, assignment(2, checkpoint=left.checkpoint or ""))
    assert done.steps_done == STEPS
    assert done.device_seconds > left.device_seconds
    curve = shelf.files[done.results["losses.txt"]].decode().splitlines()
    assert curve == undisturbed_curve()
    assert float(done.results["accuracy"]) > 0.5
    assert shelf.files[done.results["model.onnx"]]


async def test_a_killed_job_is_taken_up_from_its_checkpoint(
    place: Place, told: Told, shelf: ArtifactShelf
) -> None:
    job = Train(place, assignment())
    await job.start()
    running = asyncio.create_task(job.run())
    await until(lambda: job._folder.checkpoint.exists())
    assert job._process is not None
    job._process.send_signal(signal.SIGKILL)
    with pytest.raises(Unavailable, match="status -9"):
        await running
    await job.stop()
    told.clear()
    done = await finish(place, told, assignment())
    assert progress(told)[0].steps_done > 20
    assert len(shelf.files[done.results["losses.txt"]].splitlines()) == STEPS


async def test_a_job_that_always_crashes_fails_in_the_end(
    place: Place, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.workloads.train.CRASH_LIMIT", 1)
    job = Train(place, assignment())
    job._folder.room.mkdir(parents=True)
    job._folder.checkpoint.write_bytes(b"no checkpoint")
    await job.start()
    await job.run()
    await job.stop()
    last = progress(told)[-1]
    assert last.state is JobState.FAILED
    assert "not a whole checkpoint" in last.detail


async def test_wrong_parameters_fail_the_job_with_the_reason(place: Place, told: Told) -> None:
    job = Train(place, assignment(batch_size="0"))
    await job.start()
    await job.run()
    await job.stop()
    last = progress(told)[-1]
    assert last.state is JobState.FAILED
    assert "batch_size" in last.detail


@pytest.mark.parametrize("parameters", [{"total_steps": "0"}, {"total_steps": "many"}])
def test_an_assignment_that_is_no_job_is_refused(place: Place, parameters: dict[str, str]) -> None:
    with pytest.raises(Refused):
        Train(place, assignment(**parameters))


def test_a_job_id_cannot_lead_elsewhere(place: Place) -> None:
    wanted = assignment().model_copy(update={"job_id": "../../etc"})
    with pytest.raises(BadRequest):
        Train(place, wanted)


async def test_an_older_generation_does_not_begin_again(place: Place) -> None:
    newer = Train(place, assignment(generation=5))
    await newer._folder.enter(5, newer._spec)
    newer._folder.leave()
    older = Train(place, assignment(generation=4))
    with pytest.raises(Conflict, match="generation 4"):
        await older.start()
    await older.stop()


async def test_two_attempts_never_run_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.agent.job_folder.LOCK_SECONDS", 0.3)
    first, second = Train(place, assignment(1)), Train(place, assignment(2))
    await first._folder.enter(1, first._spec)
    with pytest.raises(Unavailable, match="earlier attempt"):
        await second.start()
    first._folder.leave()
    await second.stop()


def test_a_job_cannot_have_foreign_files_read(place: Place, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    job = Train(place, assignment())
    job._folder.room.mkdir(parents=True)
    (job._folder.room / "link").symlink_to(secret)
    for name in ("link", "../secret", str(secret), "absent"):
        with pytest.raises(StoreError):
            job._read_result(name)
    job._folder.checkpoint.symlink_to(secret)
    with pytest.raises(StoreError):
        job._folder.note_checkpoint()


async def test_without_the_bus_a_job_with_a_checkpoint_elsewhere_waits(place: Place) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    away = dataclasses.replace(place, link=BusLink(never))  # type: ignore[arg-type]
    job = Train(away, assignment(checkpoint="ab" * 32))
    with pytest.raises(BusError, match="not connected"):
        await job.start()
    await job.stop()
