"""A runner: the process that works one device, as its agent tells it.

It takes `Assign` lines, switches from one workload to another, and reports. It ends when its
agent does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from drivers.errors import DriverError
from farmctl import config as configuration
from farmctl.agent.end import end_with_parent
from farmctl.agent.faults import fault_code
from farmctl.agent.lines import LINE_BYTES, Assign, Cause, Happened, Line, Rates, State, encode_line
from farmctl.agent.link import BusLink, nats_link
from farmctl.agent.sharing import GPU_FAMILIES
from farmctl.domain import Workload
from farmctl.errors import FarmError, Refused
from farmctl.messages import AssignmentMessage, FaultEvent, JobProgress, ShareEvent
from farmctl.workloads.base import Activity, Pausable, Place, create_activity
from node.models.eviction import Policy

log = logging.getLogger(__name__)
DRAIN_SECONDS = 30.0
RATES_SECONDS = 1.0
RESERVE_RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0)


@dataclass
class _Working:
    """An activity under way."""

    activity: Activity
    key: object
    command: Assign
    """The newest that asked for it: failures are reported in its name."""
    task: asyncio.Task[None]
    paused: bool = False


def work_key(assignment: AssignmentMessage, family: str) -> object:
    """What must differ for the work to be started anew. A job is told by its generation: its
    parameters may name a newer checkpoint while it runs. On a GPU mining leaves memory to an
    INFER reserve from its start."""
    if assignment.job_id is not None:
        return (assignment.workload, assignment.job_id, assignment.generation)
    shares = assignment.infer_reserve and family in GPU_FAMILIES
    return (assignment.workload, tuple(sorted(assignment.parameters.items())), shares)


class Runner:
    """Keeps one device at its assignment."""

    def __init__(self, rig: str, device_id: str, config: configuration.Config, link: BusLink):
        self._place = Place(
            rig=rig,
            device_id=device_id,
            run_id=uuid.uuid4().hex,
            folder=config.home / "rig",
            link=link,
            emit=self._emit,
            infer_bytes=config.rig.infer_bytes,
            infer_policy=Policy(config.rig.infer_policy),
        )
        self._wanted: Assign | None = None
        self._news = asyncio.Event()
        self._main: _Working | None = None
        self._reserve: asyncio.Task[None] | None = None
        self._reserve_rates: Callable[[], Mapping[str, float]] = dict

    def take(self, command: Assign) -> None:
        self._wanted = command
        self._news.set()

    async def run(self) -> None:
        """Apply each newest command, until cancelled."""
        reporting = asyncio.create_task(self._report_rates())
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if self._wanted is not None:
                    await self._apply(self._wanted)
        finally:
            reporting.cancel()
            await self._stop_reserve()
            await self._stop_main()

    async def _apply(self, command: Assign) -> None:
        assignment = command.assignment
        try:
            await self._switch_main(command)
        except Exception as error:  # noqa: BLE001 - top of the loop: whatever a workload raises
            self._tell_failure(command, error)
        else:
            self._tell_state(command, "running")
        await self._apply_reserve(assignment)

    async def _switch_main(self, command: Assign) -> None:
        main = self._main
        if main is not None and command.assignment.paused and isinstance(main.activity, Pausable):
            main.command = command
            await self._pause(main, main.activity)
        elif main is not None and main.key == work_key(command.assignment, self._place.family):
            main.command = command
            await self._resume(main)
        else:
            await self._stop_main()
            await self._start_main(command)

    async def _pause(self, main: _Working, activity: Pausable) -> None:
        if not main.paused:
            main.paused = True
            await self._or_end(activity.pause())

    async def _resume(self, main: _Working) -> None:
        if main.paused and isinstance(main.activity, Pausable):
            await self._or_end(main.activity.resume())
            main.paused = False

    async def _or_end(self, change: Awaitable[None]) -> None:
        """An activity that cannot be paused or resumed is ended."""
        try:
            await change
        except BaseException:
            await self._stop_main()
            raise

    async def _start_main(self, command: Assign) -> None:
        assignment = command.assignment
        activity = create_activity(self._place, assignment.workload, assignment)
        try:
            await activity.start()
        except BaseException:
            await activity.stop()
            raise
        task = asyncio.create_task(self._watch_main(activity))
        key = work_key(assignment, self._place.family)
        self._main = _Working(activity, key, command, task)

    async def _watch_main(self, activity: Activity) -> None:
        try:
            await activity.run()
        except Exception as error:  # noqa: BLE001 - top of the workload's own loop
            if ended := await self._free(activity):
                self._tell_failure(ended.command, error)
        else:
            if ended := await self._free(activity):
                self._tell_state(ended.command, "ended")

    async def _free(self, activity: Activity) -> _Working | None:
        """The work that ended, with its device free; None where it was no longer wanted."""
        main = self._main
        if main is None or main.activity is not activity:
            return None
        self._main = None
        await activity.stop()
        return main

    async def _apply_reserve(self, assignment: AssignmentMessage) -> None:
        wanted = assignment.infer_reserve and assignment.workload is not Workload.INFER
        if wanted and self._reserve is None:
            self._reserve = asyncio.create_task(self._keep_reserve(assignment))
        elif not wanted:
            await self._stop_reserve()

    async def _keep_reserve(self, assignment: AssignmentMessage) -> None:
        """Run the INFER reserve, again and again after faults, each time waiting longer."""
        for attempt in itertools.count():
            try:
                await self._run_reserve(assignment)
            except Exception as error:
                log.warning("INFER reserve: %s", error, exc_info=not is_expected(error))
                self._emit(
                    FaultEvent(
                        device=self._place.device_id,
                        code=fault_code(error),
                        step="restart_reserve",
                        detail=str(error),
                    )
                )
            last = len(RESERVE_RETRY_SECONDS) - 1
            await asyncio.sleep(RESERVE_RETRY_SECONDS[min(attempt, last)])

    async def _run_reserve(self, assignment: AssignmentMessage) -> None:
        activity = create_activity(self._place, Workload.INFER, assignment)
        self._reserve_rates = activity.rates
        try:
            await activity.start()
            await activity.run()
        finally:
            self._reserve_rates = dict
            await activity.stop()

    async def _stop_main(self) -> None:
        working, self._main = self._main, None
        await _stop(working)

    async def _stop_reserve(self) -> None:
        task, self._reserve = self._reserve, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _report_rates(self) -> None:
        while True:
            await asyncio.sleep(RATES_SECONDS)
            main = {} if self._main is None else self._main.activity.rates()
            _write(Rates(values={**self._reserve_rates(), **main}))

    def _emit(self, body: ShareEvent | JobProgress | FaultEvent) -> None:
        _write(Happened(body=body))

    def _tell_state(self, command: Assign, state: str) -> None:
        assignment = command.assignment
        _write(
            State.model_validate(
                {
                    "plan_number": command.plan_number,
                    "workload": assignment.workload,
                    "job_id": assignment.job_id,
                    "state": state,
                }
            )
        )

    def _tell_failure(self, command: Assign, error: Exception) -> None:
        if not is_expected(error):
            log.error("workload failed", exc_info=error)
        assignment = command.assignment
        _write(
            State(
                plan_number=command.plan_number,
                workload=assignment.workload,
                job_id=assignment.job_id,
                state="failed",
                cause=failure_cause(error),
                code=fault_code(error),
                detail=str(error) or type(error).__name__,
            )
        )


async def _stop(working: _Working | None) -> None:
    """Drain an activity, then end its task; after `DRAIN_SECONDS` the task is cut off."""
    if working is None:
        return
    try:
        await asyncio.wait_for(working.activity.stop(), DRAIN_SECONDS)
    except (TimeoutError, DriverError, FarmError) as error:
        log.warning("drain: %s", error or "took too long; cut off")
    working.task.cancel()
    await asyncio.gather(working.task, return_exceptions=True)


def is_expected(error: Exception) -> bool:
    """Whether it is one of the errors that devices and the farm are known to have."""
    return isinstance(error, DriverError | FarmError)


def failure_cause(error: Exception) -> Cause:
    if isinstance(error, DriverError):
        return "device"
    return "refused" if isinstance(error, Refused | ValueError) else "unavailable"


def _write(line: Line) -> None:
    """One write a line: pipes keep lines of one thread whole, and the agent reads always."""
    sys.stdout.buffer.write(encode_line(line))
    sys.stdout.buffer.flush()


async def _read_commands(runner: Runner) -> None:
    """Until standard input ends."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            runner.take(Assign.model_validate_json(line))
        except ValueError as error:
            log.error("malformed command from the agent dropped: %s", error)


async def serve(device_id: str) -> None:
    config = configuration.load()
    link = nats_link(config, f"runner-{config.farm.rig}-{device_id}")
    link.start()
    runner = Runner(config.farm.rig, device_id, config, link)
    working = asyncio.create_task(runner.run())
    try:
        await _read_commands(runner)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await link.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Works one device; started by the agent.")
    parser.add_argument("device_id")
    arguments = parser.parse_args()
    end_with_parent()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s {arguments.device_id} %(name)s %(message)s",
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.device_id))


if __name__ == "__main__":
    main()
