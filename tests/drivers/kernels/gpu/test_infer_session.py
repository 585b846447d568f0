"""Models resident on a GPU: budget, lanes, steps of the host, whole programs."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import host_infer
import numpy as np
import pytest
from host_infer import HostQueue

from drivers import selftest
from drivers.base import Capability
from drivers.errors import BadArgument, OutOfMemory
from drivers.host_program import HostProgram
from drivers.kernels.gpu.infer import trial
from drivers.kernels.gpu.infer.opening import open_proved
from drivers.kernels.gpu.infer.schedule import HostWork, Launch
from drivers.kernels.gpu.infer.scheduler import schedule
from drivers.kernels.gpu.infer.session import MOST_LANES, GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu
from drivers.kernels.infer.fusion import fuse
from drivers.kernels.infer.layers import Plan, Window
from drivers.program import Program, Step

TARGET = host_infer.TARGETS["dot"][1]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("dot")
    return host_infer.build(folder, "dot")


def open_session(library: ctypes.CDLL, memory_bytes: int = 1 << 30, lanes: int = 2) -> GpuInfer:
    gpu = InferGpu(TARGET, 4, memory_bytes)
    return GpuInfer(lambda: HostQueue(library), gpu, lanes)


def small_plan(seed: int) -> Plan:
    net = trial.Net(np.random.default_rng(seed))
    source = net.input((1, 32, 4, 4), trial.SIGNED)
    return net.plan(net.words(net.convolve(source, 64, Window((3, 3)))))


def test_known_answer(library: ctypes.CDLL) -> None:
    assert "to the bit" in selftest.check(open_session(library), Capability.INFER)


def test_models_beyond_the_budget_make_room_and_come_back(library: ctypes.CDLL) -> None:
    plans = [small_plan(seed) for seed in range(3)]
    found = schedule(plans[0], InferGpu(TARGET, 4, 1 << 30))
    each = found.constants.nbytes + found.arena_bytes
    session = open_session(library, 2 * each)
    data = trial.trial_input(plans[0])
    for number, plan in enumerate(plans):
        session.load_plan(str(number), plan)
        assert session.resident_bytes <= 2 * each
    for number in (0, 2, 1, 0, 1):
        answer = session.run(str(number), data.tobytes())
        assert answer == trial.answer_of(plans[number], data)
        assert session.resident_bytes == 2 * each
    session.unload("0")
    assert session.resident_bytes == each
    with pytest.raises(BadArgument, match="model 0 is not loaded"):
        session.run("0", data.tobytes())


def test_a_model_beyond_the_memory_is_refused(library: ctypes.CDLL) -> None:
    session = open_session(library, 4096)
    with pytest.raises(OutOfMemory, match="0 MiB may be used; allow more"):
        session.load_plan("large", small_plan(0))
    assert session.resident_bytes == 0


def test_several_requests_at_a_time(library: ctypes.CDLL) -> None:
    session, plan = open_session(library, lanes=3), small_plan(5)
    session.load_plan("it", plan)
    inputs = [trial.trial_input(plan, seed) for seed in range(7)]
    answers = session.run_many("it", [data.tobytes() for data in inputs])
    assert answers == [trial.answer_of(plan, data) for data in inputs]


class TightQueue(HostQueue):
    """Of a GPU whose memory others may take."""

    room = 1 << 30

    def allocate(self, size_bytes: int) -> int:
        if sum(memory.size for memory in self._memory.values()) + size_bytes > self.room:
            raise OutOfMemory("taken by others")
        return super().allocate(size_bytes)


def test_a_model_that_cannot_come_back_is_asked_for_again(library: ctypes.CDLL) -> None:
    """Nothing of it stays while others have the memory."""
    plan, queue = small_plan(6), TightQueue(library)
    found = schedule(plan, InferGpu(TARGET, 4, 1 << 30))
    each = found.constants.nbytes + found.arena_bytes
    session = GpuInfer(lambda: queue, InferGpu(TARGET, 4, each), lanes=1)
    session.load_plan("it", plan)
    session.load_plan("other", small_plan(7))
    queue.room = found.constants.nbytes + 512
    data = trial.trial_input(plan)
    with pytest.raises(OutOfMemory, match="taken by others"):
        session.run("it", data.tobytes())
    assert session.resident_bytes == 0
    queue.room = 1 << 30
    assert session.run("it", data.tobytes()) == trial.answer_of(plan, data)


def test_requests_take_turns_where_others_have_the_memory(library: ctypes.CDLL) -> None:
    queues, plan = [TightQueue(library), TightQueue(library)], small_plan(8)
    queues[1].room = 0
    session = GpuInfer(iter(queues).__next__, InferGpu(TARGET, 4, 1 << 30))
    session.load_plan("it", plan)
    inputs = [trial.trial_input(plan, seed) for seed in range(3)]
    answers = session.run_many("it", [data.tobytes() for data in inputs])
    assert answers == [trial.answer_of(plan, data) for data in inputs]


def test_parts_of_a_concatenation_are_written_where_they_belong(library: ctypes.CDLL) -> None:
    """However deep; but one that would begin within a chunk of channels is copied."""
    net = trial.Net(np.random.default_rng(7))
    source = net.input((2, 8, 4, 3), trial.SIGNED)
    left = net.convolve(source, 16, Window((1, 1)))
    inner = net.concatenate(left, net.convolve(source, 32, Window((1, 1))))
    last = net.convolve(inner, 5, Window((1, 1)))
    outer = net.concatenate(inner, last, left)
    plan = net.plan(net.words(outer), net.words(net.convolve(left, 8, Window((2, 2)))))
    found = schedule(plan, InferGpu(TARGET, 4, 1 << 30))
    kernels = [part.kernel for part in found.parts if isinstance(part, Launch)]
    assert kernels.count("mapping") == 1
    session = open_session(library)
    session.load_plan("it", plan)
    data = trial.trial_input(plan)
    assert session.run("it", data.tobytes()) == trial.answer_of(plan, data)


def test_steps_without_a_kernel_run_on_the_host(
    library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transposition in the middle of a net."""
    weight = selftest.spread((4, 2, 3, 3), 255, 127)
    after = selftest.spread((5, 64), 251, 125)
    whole = {"padding": (1, 1), "strides": (1, 1), "groups": 1, "dilation": (1, 1)}
    program = Program(
        shapes=((1, 2, 4, 4), (4, 2, 3, 3), (5, 64), *[(1, 4, 4, 4)] * 3, (1, 64), (1, 5)),
        precisions=(8, 8, 8, 22, 8, 8, 8, 22),
        parameters={1: weight, 2: after},
        steps=(
            Step("conv2d", (0, 1), (3,), {**whole, "channels": 4, "kernel_size": (3, 3)}),
            Step("cvm_right_shift", (3,), (4,), {"precision": 8, "shift_bit": 8}),
            Step("transpose", (4,), (5,), {"axes": (0, 2, 3, 1)}),
            Step("flatten", (5,), (6,), {}),
            Step("dense", (6, 2), (7,), {"units": 5}),
        ),
        heads=(7,),
    )
    parts = schedule(fuse(program), InferGpu(TARGET, 4, 1 << 30)).parts
    assert any(isinstance(part, HostWork) for part in parts)
    session = open_session(library)
    session.load("mixed", program)
    data = selftest.spread((1, 2, 4, 4), 255, 127)
    padded = np.pad(data[0].astype(np.int64), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    sums = np.einsum("chwyx,ocyx->ohw", windows, weight.astype(np.int64))
    shifted = np.clip(((sums >> 7) + 1) >> 1, -127, 127)
    expected = after.astype(np.int64) @ shifted.transpose(1, 2, 0).ravel()
    for _ in range(2):
        answer = np.frombuffer(session.run("mixed", data.astype("<i4").tobytes()), "<i4")
        assert answer.tolist() == expected.tolist()
    closed: list[HostProgram] = []
    close = HostProgram.close
    monkeypatch.setattr(HostProgram, "close", lambda it: (closed.append(it), close(it)))
    session.close()
    assert len(closed) == 1


def test_refuses_what_makes_no_sense(library: ctypes.CDLL) -> None:
    session = open_session(library)
    session.load_plan("it", small_plan(0))
    with pytest.raises(BadArgument, match="the input must be 2048 bytes, not 3"):
        session.run("it", b"abc")
    assert len(session.run("it", bytes(2048))) == 4 * 64 * 4
    with pytest.raises(BadArgument, match=f"1 to {MOST_LANES} lanes, not 0"):
        open_session(library, lanes=0)
    session.close()
    session.close()


def test_options_are_checked(library: ctypes.CDLL) -> None:
    def open_with(**options: Any) -> GpuInfer:
        def describe(limit: int | None) -> InferGpu:
            return InferGpu(TARGET, 4, limit or 1 << 30)

        return open_proved(lambda: HostQueue(library), describe, options)

    for options, reason in (
        ({"colour": 1}, "no option colour"),
        ({"memory_limit_bytes": 0}, "must be positive"),
        ({"lanes": MOST_LANES + 1}, f"1 to {MOST_LANES} lanes"),
    ):
        with pytest.raises(BadArgument, match=reason):
            open_with(**options)
    with pytest.raises(OutOfMemory, match="allow more"):
        open_with(memory_limit_bytes=4096)
    open_with(lanes=1).close()
