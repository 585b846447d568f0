"""The inference kernels run on the host, with each target's instructions, to the bit."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from pathlib import Path

import host_infer
import numpy as np
import pytest
from host_infer import HostQueue
from infer_plans import SHAPES, awkward_plan, expect_no_saturation, pool_plan

from drivers.errors import NotSupported, SelfTestFailed
from drivers.kernels.gpu.infer import layout, trial
from drivers.kernels.gpu.infer.asking import ask_target
from drivers.kernels.gpu.infer.packing import list_taps
from drivers.kernels.gpu.infer.schedule import Launch
from drivers.kernels.gpu.infer.scheduler import schedule
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu, Target
from drivers.kernels.infer.layers import Plan, PoolKind, Window

MEMORY_BYTES = 1 << 30
KERNELS = {
    *("convolve_big", "convolve_first", "convolve_small", "convolve_tall", "dense"),
    *("depthwise", "mapping", "pooling", "to_bytes", "to_words"),
}
FEW, MANY = 1, 1000


@pytest.fixture(scope="module", params=host_infer.TARGETS)
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ctypes.CDLL, Target]:
    name: str = request.param
    folder: Path = tmp_path_factory.mktemp(name)
    return host_infer.build(folder, name), host_infer.TARGETS[name][1]


def open_session(library: tuple[ctypes.CDLL, Target], units: int = FEW) -> GpuInfer:
    """Its first queue runs lanes forwards, its second backwards."""
    order = itertools.count()
    gpu = InferGpu(library[1], units, MEMORY_BYTES)
    return GpuInfer(lambda: HostQueue(library[0], bool(next(order) % 2)), gpu)


def compare(library: tuple[ctypes.CDLL, Target], plan: Plan, seed: int, units: int) -> None:
    """Two requests at a time, forwards and backwards, each twice: nothing is left over."""
    data = trial.trial_input(plan, seed)
    session = open_session(library, units)
    session.load_plan("it", plan)
    assert session.run_many("it", [data.tobytes()] * 4) == [trial.answer_of(plan, data)] * 4


def test_kernels_say_what_they_are(library: tuple[ctypes.CDLL, Target]) -> None:
    native, target = library
    assert ask_target(HostQueue(native)) == target
    sizes, tiles = (ctypes.c_uint32 * 8)(), (ctypes.c_uint32 * 6)()
    native.infer_host_sizes(sizes)
    native.infer_host_tiles(tiles)
    records = (layout.FINISH, layout.IMAGE, layout.TAP, layout.CONVOLUTION)
    records += (layout.DEPTHWISE, layout.POOLING, layout.MAPPING, layout.CONVERSION)
    assert list(sizes) == [record.itemsize for record in records]
    expected = [n for tile in target.tiles for n in (tile.lanes, target.shared_bytes(tile))]
    assert list(tiles) == expected


def test_a_net_of_all_kernels(library: tuple[ctypes.CDLL, Target]) -> None:
    launched: list[str] = []

    def open_queue() -> HostQueue:
        queue = HostQueue(library[0], backwards=bool(launched))
        queue.launched = launched
        return queue

    trial.check(GpuInfer(open_queue, InferGpu(library[1], FEW, MEMORY_BYTES)))
    assert set(launched) == KERNELS


@pytest.mark.parametrize("units", [FEW, MANY])
@pytest.mark.parametrize("name", SHAPES)
def test_awkward_shapes(library: tuple[ctypes.CDLL, Target], name: str, units: int) -> None:
    """As words, whose every bit counts, and as bytes with a residual."""
    compare(library, awkward_plan(name), seed=len(name), units=units)


def test_saturation_trap(library: tuple[ctypes.CDLL, Target]) -> None:
    expect_no_saturation(open_session(library, MANY))


@pytest.mark.parametrize("kind", PoolKind)
def test_pools(library: tuple[ctypes.CDLL, Target], kind: PoolKind) -> None:
    compare(library, pool_plan(kind), seed=3, units=FEW)


def test_a_wrong_instruction_is_noticed(
    library: tuple[ctypes.CDLL, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "channel_order", lambda self: list(range(32)))
    with pytest.raises(SelfTestFailed, match="answers wrongly"):
        trial.check(open_session(library))


def test_splits_give_every_multiprocessor_work() -> None:
    net = trial.Net(np.random.default_rng(4))
    source = net.input((1, 512, 7, 7), trial.UNSIGNED)
    target = net.convolve(source, 64, Window((3, 3), padding=(1, 1, 1, 1)))
    plan = net.plan(net.words(target))
    for units in (1, 8, 132):
        found = schedule(plan, InferGpu(Target("mma32"), units, MEMORY_BYTES))
        launch = next(launch for launch in launches(found.parts) if "convolve" in launch.kernel)
        assert launch.record["splits"][0] == launch.groups[2] <= units
        assert (launch.groups[2] > 1) == (units > 1)
        assert launch.record["split_chunks"][0] * launch.groups[2] >= 512 * 9 // 16


def launches(parts: tuple[object, ...]) -> Iterator[Launch]:
    return (part for part in parts if isinstance(part, Launch))


def test_windows_beyond_the_records_are_refused() -> None:
    with pytest.raises(NotSupported, match="spans 40000 pixels"):
        list_taps(Window((2, 2), dilation=(40000, 1)), 4, 16, 16, 16, 4)
    with pytest.raises(NotSupported, match="spans 2621360032 bytes"):
        list_taps(Window((2, 2), dilation=(32767, 1)), 5000, 16, 16, 16, 4)
