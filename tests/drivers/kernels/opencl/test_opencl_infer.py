"""The OpenCL inference kernels and session on a processor (PoCL), to the bit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyopencl as cl
import pytest
from infer_plans import SHAPES, awkward_plan, expect_no_saturation, pool_plan, trap_plan

from drivers import selftest
from drivers.base import Capability
from drivers.errors import BadArgument, DeviceLost, NotSupported, OutOfMemory, SelfTestFailed
from drivers.kernels.gpu.infer import trial
from drivers.kernels.gpu.infer.queue import Work
from drivers.kernels.gpu.infer.schedule import Launch
from drivers.kernels.gpu.infer.scheduler import schedule
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu
from drivers.kernels.infer.layers import Plan, PoolKind
from drivers.kernels.opencl import infer_queue, inference
from drivers.kernels.opencl.devices import OpenClDevice
from drivers.kernels.opencl.infer_queue import Memory, OpenClQueue

KERNELS = set(re.findall(r"^KERNEL (\w+)\(", infer_queue.kernel_source(), re.MULTILINE))
#: What cl_khr_integer_dot_product has, for a device without it.
DOT = """
int dot_4x8packed_us_int(uint a, uint b) {
  const int4 products = convert_int4(as_uchar4(a)) * convert_int4(as_char4(b));
  return products.s0 + products.s1 + products.s2 + products.s3;
}
"""


@pytest.fixture(scope="module", params=[1, 1000], ids=["few units", "many units"])
def session(processor: OpenClDevice, request: pytest.FixtureRequest) -> Iterator[GpuInfer]:
    """With many units, the sums of most tiles are split."""
    opened = inference.open_infer(processor)
    opened.gpu = replace(opened.gpu, units=request.param)
    yield opened
    opened.close()


def compare(session: GpuInfer, plan: Plan, seed: int = 0) -> None:
    """Two requests at a time, each twice: nothing is left over."""
    inputs = [trial.trial_input(plan, seed + number) for number in (0, 1)] * 2
    session.load_plan("it", plan)
    answers = session.run_many("it", [data.tobytes() for data in inputs])
    session.unload("it")
    assert answers == [trial.answer_of(plan, data) for data in inputs]


def test_known_answer(session: GpuInfer) -> None:
    assert "to the bit" in selftest.check(session, Capability.INFER)


@pytest.mark.parametrize("seed", range(3))
def test_a_net_of_all_kernels(session: GpuInfer, seed: int) -> None:
    compare(session, trial.trial_plan(seed), seed)


def test_the_trial_launches_every_kernel(
    processor: OpenClDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: set[str] = set()
    prepare = OpenClQueue.prepare

    def note(queue: OpenClQueue, work: Sequence[Work]) -> Any:
        launched.update(each.kernel for each in work if isinstance(each, Launch))
        return prepare(queue, work)

    monkeypatch.setattr(OpenClQueue, "prepare", note)
    inference.open_infer(processor).close()
    assert launched == KERNELS
    assert len(KERNELS) == 9


@pytest.mark.parametrize("name", SHAPES)
def test_awkward_shapes(session: GpuInfer, name: str) -> None:
    compare(session, awkward_plan(name), len(name))


def test_saturation_trap(session: GpuInfer) -> None:
    expect_no_saturation(session)


@pytest.mark.parametrize("kind", PoolKind)
def test_pools(session: GpuInfer, kind: PoolKind) -> None:
    compare(session, pool_plan(kind), seed=3)


def test_products_of_four_bytes_where_the_device_has_them(
    processor: OpenClDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PoCL has not: the extension's function stands below the kernels, by its definition."""
    source = DOT + infer_queue.kernel_source()
    assert infer_queue.options_of(processor)[1] == "-DINFER_DOT=0"
    monkeypatch.setattr(infer_queue, "kernel_source", lambda: source)
    monkeypatch.setattr(infer_queue, "options_of", lambda device: ["-DINFER_DOT=1"])
    session = inference.open_infer(processor)
    compare(session, trap_plan())
    session.close()


def test_a_wrong_kernel_is_noticed(
    processor: OpenClDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = infer_queue.kernel_source().replace("b.s3 * w.s3", "b.s3 * (w.s3 | 1)")
    monkeypatch.setattr(infer_queue, "kernel_source", lambda: wrong)
    with pytest.raises(SelfTestFailed, match="answers wrongly"):
        inference.open_infer(processor)


def test_models_make_room_for_each_other(processor: OpenClDevice) -> None:
    plans = [trap_plan(), awkward_plan("dense"), awkward_plan("deep")]
    target = inference.OpenClTarget("opencl")
    found = [schedule(plan, InferGpu(target, 1, 1 << 30)) for plan in plans]
    room = max(each.constants.nbytes + each.arena_bytes for each in found)
    for units in trial.UNITS:
        each = schedule(trial.trial_plan(), InferGpu(target, units, 1 << 30))
        room = max(room, each.constants.nbytes + each.arena_bytes)
    session = inference.open_infer(processor, memory_limit_bytes=room, lanes=1)
    for number, plan in enumerate(plans):
        session.load_plan(str(number), plan)
    for number in (0, 2, 1, 0):
        data = trial.trial_input(plans[number], number)
        assert session.run(str(number), data.tobytes()) == trial.answer_of(plans[number], data)
        assert 0 < session.resident_bytes <= room
    session.close()
    session.close()


#: Queues copies behind a gate that it opens afterwards.
GATED = """
import pyopencl as cl
from drivers.kernels.gpu.infer.queue import Download, Upload
from drivers.kernels.opencl.devices import list_devices
from drivers.kernels.opencl.infer_queue import Memory, OpenClQueue

memory = Memory.open(next(device for device in list_devices() if device.kind == "cpu"))
queue, gate = OpenClQueue(memory), cl.UserEvent(memory.context)
address, given, found = queue.allocate(64), queue.host_buffer(64), queue.host_buffer(64)
work = queue.prepare([Upload(address, given), Download(address, found)])
given[:] = 7
cl.enqueue_barrier(queue._queue, wait_for=[gate])
work()
gate.set_status(cl.command_execution_status.COMPLETE)
queue.wait()
print(set(found))
"""


def test_work_is_queued_without_waiting_for_it(processor: OpenClDevice) -> None:
    """In a process of its own, as one that waits holds Python's lock for ever."""
    done = subprocess.run(
        [sys.executable, "-c", GATED], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "{np.uint8(7)}\n"


def test_memory_that_does_not_suffice(processor: OpenClDevice) -> None:
    with pytest.raises(OutOfMemory, match="allow more"):
        inference.open_infer(processor, memory_limit_bytes=4096)
    small = replace(processor, max_allocation_bytes=1 << 10)
    with pytest.raises(OutOfMemory, match="0 MiB at once"):
        inference.open_infer(small)
    boaster = Memory.open(replace(processor, max_allocation_bytes=1 << 60))
    with pytest.raises(OutOfMemory, match="gives no buffer of this size"):
        boaster.allocate(1 << 50)


def test_a_lost_device_is_closed_quietly(
    processor: OpenClDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = inference.open_infer(processor)

    def fail(*_: object) -> None:
        raise DeviceLost("gone")

    with monkeypatch.context() as failing:
        failing.setattr(OpenClQueue, "wait", fail)
        lost.close()
    lost.close()


def test_options_are_checked(processor: OpenClDevice) -> None:
    for options in ({"colour": 1}, {"memory_limit_bytes": 0}, {"lanes": 0}):
        with pytest.raises(BadArgument):
            inference.open_infer(processor, **options)


def test_a_device_with_small_groups_is_refused(
    processor: OpenClDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cl.Kernel, "get_work_group_info", lambda *_: 64)
    with pytest.raises(NotSupported, match="in groups of 64 at most"):
        inference.open_infer(processor)
