"""A customer's training job, in a sandbox, with checkpoints that any rig can go on from."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import PurePath

from pydantic import ValidationError

from farmctl.agent.artifacts import fetch_artifact, put_artifact
from farmctl.agent.job_folder import JobFolder, forget_old_folders, read_plain_file
from farmctl.agent.rate import Rate
from farmctl.agent.sandbox import JOB_FOLDER, Room
from farmctl.domain import JobState
from farmctl.errors import BusError, Refused, StoreError, Unavailable
from farmctl.messages import AssignmentMessage, JobProgress
from farmctl.training.protocol import (
    DRAIN,
    EXIT_DRAINED,
    Failed,
    Finished,
    JobSpec,
    Progress,
    Saved,
    parse_report,
)
from farmctl.workloads.base import Activity, Place

log = logging.getLogger(__name__)
MODULE = "farmctl.training.run"
LINE_BYTES = 1024 * 1024
PROGRESS_SECONDS = 0.25
UPLOAD_SECONDS = 2.0
DRAIN_SECONDS = 20.0
#: How long the last checkpoint of a drained job may take to the controller; it stays on the
#: rig in any case.
LEAVE_SECONDS = 5.0
UPLOAD_RETRY_SECONDS = 2.0
#: A job that crashes this often in a row, without a new checkpoint, has failed.
CRASH_LIMIT = 5
COMPLAINT_CHARACTERS = 500
#: Keys of the assignment's parameters that are not the trainer's own.
KIND, TOTAL_STEPS, CHECKPOINT = "kind", "total_steps", "checkpoint"


def read_spec(assignment: AssignmentMessage) -> JobSpec:
    """The job in an assignment's parameters: ``kind``, ``total_steps``, perhaps ``checkpoint``
    (an artifact's id); the rest is for the trainer. Raises `Refused`."""
    own = {k: v for k, v in assignment.parameters.items() if k not in (KIND, TOTAL_STEPS)}
    own.pop(CHECKPOINT, None)
    try:
        return JobSpec.model_validate_strings(
            {
                "kind": assignment.parameters[KIND],
                "total_steps": assignment.parameters[TOTAL_STEPS],
                "parameters": own,
            }
        )
    except KeyError as error:
        raise Refused(f"the job's parameter {error} is missing") from error
    except ValidationError as error:
        raise Refused(f"the job's parameters are wrong: {error.errors()[0]['msg']}") from error


class Train:
    def __init__(self, place: Place, assignment: AssignmentMessage) -> None:
        if assignment.job_id is None:
            raise Refused("a training assignment needs a job")
        self._place = place
        self._job_id = assignment.job_id
        self._generation = assignment.generation
        self._spec = read_spec(assignment)
        self._given_checkpoint = assignment.parameters.get(CHECKPOINT, "")
        self._folder = JobFolder(place.folder, assignment.job_id)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[Finished | Failed | None] | None = None
        self._complaint: asyncio.Task[str] | None = None
        self._steps = Rate()
        self._newest = Progress(steps_done=0, device_seconds=0.0, loss=0.0)
        self._loss: float | None = None
        self._checkpoint: str | None = self._given_checkpoint or None
        self._told = 0.0
        self._uploading: asyncio.Task[None] | None = None
        self._over = False
        self._ended = asyncio.Event()
        self._ended.set()

    async def start(self) -> None:
        await self._folder.enter(self._generation, self._spec)
        await asyncio.to_thread(forget_old_folders, self._place.folder)
        await self._take_checkpoint()
        self._process = await asyncio.create_subprocess_exec(
            *Room(self._folder.room).python(MODULE, JOB_FOLDER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            pass_fds=(self._folder.lock,),
            env={},
        )
        self._reading = asyncio.create_task(self._read())
        self._complaint = asyncio.create_task(self._read_complaint())

    async def run(self) -> None:
        self._ended.clear()
        try:
            await self._see_to_end()
        finally:
            self._ended.set()

    async def _see_to_end(self) -> None:
        assert self._process is not None and self._reading is not None
        end = await self._reading
        status = await self._process.wait()
        if self._over:
            return
        if isinstance(end, Finished):
            await self._deliver(end)
        elif isinstance(end, Failed):
            self._tell(JobState.FAILED, detail=end.detail)
        elif status == EXIT_DRAINED:
            await self._leave_checkpoint()
        else:
            await self._count_crash(status)

    async def stop(self) -> None:
        """Ask for a checkpoint, wait for it, keep it; whatever is left then is killed."""
        if self._over:
            return
        process = self._process
        if process is not None and process.returncode is None:
            await self._drain(process)
        self._over = True
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        for task in (self._reading, self._complaint, self._uploading):
            if task is not None:
                task.cancel()
        self._folder.leave()

    def rates(self) -> Mapping[str, float]:
        return {"steps_per_second": self._steps.per_second()}

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError, TimeoutError):
            process.stdin.write(f"{DRAIN}\n".encode())
            await asyncio.wait_for(process.wait(), DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), LEAVE_SECONDS)

    async def _take_checkpoint(self) -> None:
        """Go on from the plan's checkpoint, unless this rig's own descends from it."""
        given = self._given_checkpoint
        if given and not self._folder.knows(given):
            bus = self._place.link.now()
            await fetch_artifact(bus, given, self._folder.checkpoint)
            self._folder.note_checkpoint()

    async def _read(self) -> Finished | Failed | None:
        """Follow the job's lines to their end."""
        assert self._process is not None and self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                self._process.kill()
                return Failed(detail=f"the job wrote a line of more than {LINE_BYTES} bytes")
            if not line:
                return None
            match parse_report(line):
                case Progress() as progress:
                    self._note_progress(progress)
                case Saved():
                    self._upload_soon()
                case Finished() | Failed() as end:
                    return end

    def _note_progress(self, progress: Progress) -> None:
        self._steps.add(progress.steps_done - self._newest.steps_done)
        self._newest = progress
        self._loss = progress.loss
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self._tell(JobState.RUNNING)

    def _upload_soon(self) -> None:
        if self._uploading is None or self._uploading.done():
            self._uploading = asyncio.create_task(self._upload())

    async def _upload(self) -> None:
        """Send the newest checkpoint; what cannot be sent now is sent with the next one."""
        try:
            _, content = self._folder.note_checkpoint()
            self._checkpoint = await put_artifact(self._place.link.now(), content)
            self._tell(JobState.RUNNING)
        except (BusError, StoreError, Unavailable) as error:
            log.warning("checkpoint of %s stays on the rig for now: %s", self._job_id, error)
        await asyncio.sleep(UPLOAD_SECONDS)

    async def _leave_checkpoint(self) -> None:
        try:
            _, content = self._folder.note_checkpoint()
            self._checkpoint = await put_artifact(self._place.link.now(), content)
        except (BusError, Unavailable) as error:
            log.warning("checkpoint of %s stays on the rig for now: %s", self._job_id, error)
        self._tell(JobState.PREEMPTED)

    async def _deliver(self, end: Finished) -> None:
        """Hand the results over; without the controller, wait for it."""
        self._newest = Progress(
            steps_done=end.steps_done,
            device_seconds=end.device_seconds,
            loss=self._newest.loss,
        )
        while True:
            try:
                results = await self._put_results(end)
                break
            except (BusError, Unavailable) as error:
                log.warning("results of %s wait: %s", self._job_id, error)
                await asyncio.sleep(UPLOAD_RETRY_SECONDS)
        self._tell(JobState.DONE, results=results)

    async def _put_results(self, end: Finished) -> dict[str, str]:
        bus = await self._place.link.wait()
        _, content = self._folder.note_checkpoint()
        self._checkpoint = await put_artifact(bus, content)
        results = dict(end.figures)
        for name in end.files:
            results[name] = await put_artifact(bus, self._read_result(name))
        return results

    def _read_result(self, name: str) -> bytes:
        """A file of the job's folder; a link or a path that leads out of it is refused."""
        if name != PurePath(name).name:
            raise StoreError(f"the job names a result {name!r} that is no file of its folder")
        return read_plain_file(self._folder.room / name)

    async def _count_crash(self, status: int) -> None:
        assert self._complaint is not None
        said = (await self._complaint).strip().splitlines()
        complaint = said[-1][:COMPLAINT_CHARACTERS] if said else "it said nothing"
        self._folder.attempts.crashes += 1
        self._folder.save()
        detail = f"the job ended with status {status}: {complaint}"
        if self._folder.attempts.crashes >= CRASH_LIMIT:
            self._tell(JobState.FAILED, detail=detail)
            return
        raise Unavailable(detail)

    async def _read_complaint(self) -> str:
        """The end of what the job writes to standard error."""
        assert self._process is not None and self._process.stderr is not None
        kept = b""
        while piece := await self._process.stderr.read(65536):
            kept = (kept + piece)[-4096:]
        return kept.decode(errors="replace")

    def _tell(
        self, state: JobState, results: dict[str, str] | None = None, detail: str = ""
    ) -> None:
        if self._over:
            return
        self._place.emit(
            JobProgress(
                job_id=self._job_id,
                device=self._place.device_id,
                generation=self._generation,
                state=state,
                steps_done=self._newest.steps_done,
                device_seconds=self._newest.device_seconds,
                loss=self._loss,
                checkpoint=self._checkpoint,
                results=results or {},
                detail=detail,
            )
        )


def create(place: Place, assignment: AssignmentMessage) -> Activity:
    return Train(place, assignment)
