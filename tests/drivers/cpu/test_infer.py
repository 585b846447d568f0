"""The CPU's engine: the reference's bits, blobs that are kept, and blobs that are no good."""

from __future__ import annotations

import ctypes
import errno
import os

import numpy as np
import pytest

from drivers.base import Capability
from drivers.cpu import library
from drivers.cpu.blob_format import Header, LayerKind, Record
from drivers.cpu.infer import InferRuns
from drivers.errors import BadArgument, OutOfMemory
from drivers.program import Program
from drivers.selftest import INFER_ANSWER, infer_program, spread
from drivers.worker import open_session
from node.lowering import lower
from node.spec.cvm import load
from node.spec.cvm.execution import compute_heads, decode_input
from tests.support.plans import random_net

MEMORY_BYTES = 1 << 28
DATA = spread((1, 2, 8, 8), 251, 127).astype("<i4").tobytes()


def answer_of(runs: InferRuns, model_id: str = "m", data: bytes = DATA) -> tuple[int, ...]:
    return tuple(np.frombuffer(runs.run(model_id, data), "<i4").tolist())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_random_nets(threads):
    runs = InferRuns(MEMORY_BYTES, threads)
    for seed in range(25):
        generator = np.random.default_rng(seed)
        graph = load(*random_net(generator))
        values = decode_input(graph, generator.integers(0, 256, graph.input_bytes, np.uint8))
        runs.load(str(seed), lower(graph))
        expected = np.concatenate([head.ravel() for head in compute_heads(graph, values)])
        found = answer_of(runs, str(seed), values.astype("<i4").tobytes())
        assert found == tuple(expected.tolist()), f"seed {seed}"
    runs.close()


def test_a_blob_is_kept_and_recalled(tmp_path):
    first = InferRuns(MEMORY_BYTES, 1, blob_folder=tmp_path)
    assert not first.recall("m")
    first.load("m", infer_program())
    first.close()
    second = InferRuns(MEMORY_BYTES, 2, blob_folder=tmp_path)
    assert second.recall("m")
    assert answer_of(second) == INFER_ANSWER
    assert not second.recall("other")
    second.close()


def test_the_time_of_each_layer():
    runs = InferRuns(MEMORY_BYTES, 1)
    runs.load("m", infer_program())
    seconds = runs.model("m").time_layers(DATA, 3)
    assert seconds and all(each > 0 for each in seconds)
    with pytest.raises(BadArgument, match="bytes"):
        runs.model("m").time_layers(DATA[:-4], 1)
    runs.close()


def test_a_plan_may_be_closed_twice():
    runs = InferRuns(MEMORY_BYTES, 1)
    runs.load("m", infer_program())
    runs.model("m").close()
    runs.close()


@pytest.fixture
def kept(tmp_path):
    """A folder with one blob."""
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=tmp_path)
    runs.load("m", infer_program())
    runs.close()
    return tmp_path


def blob_in(folder):
    (path,) = folder.glob("*.plan")
    return path


@pytest.mark.parametrize("length", [0, 1, 100, 152, 1500, -1])
def test_a_cut_blob_is_made_anew(kept, length):
    content = blob_in(kept).read_bytes()
    blob_in(kept).write_bytes(content[:length])
    expect_made_anew(kept)


@pytest.mark.parametrize("place", [0, 8, 20, 30, 40, 56, 90, 117, 120, 150, 200, 500, 2000, -1])
def test_a_changed_blob_is_made_anew(kept, place):
    content = bytearray(blob_in(kept).read_bytes())
    content[place] ^= 0x55
    blob_in(kept).write_bytes(content)
    expect_made_anew(kept)


def reseal(path, content):
    """Write a blob with the checksum that it ought to have."""
    checksum = Header.checksum
    end = checksum.offset + checksum.size
    behind = bytes(content[end:])
    made = library.load().farmcpu_plan_checksum(behind, len(behind))
    content[checksum.offset : end] = made.to_bytes(checksum.size, "little")
    path.write_bytes(content)


def layer_in(content, kind):
    """The first record of that kind, as it lies in a blob."""
    header = Header.from_buffer_copy(content)
    records = (Record * header.layers).from_buffer(content, header.layers_at)
    return next(record for record in records if record.kind == kind)


def convolution_in(content):
    return layer_in(content, LayerKind.CONVOLUTION)


def claim_another_method(content):
    content[convolution_in(content).packed_at + 8] ^= 1


def claim_another_isa(content):
    content[convolution_in(content).packed_at + 4] ^= 1


def claim_a_large_window(content):
    window = convolution_in(content).convolution.window
    window.rows, window.top = window.rows + (1 << 20), window.top + (1 << 20)
    window.columns, window.left = window.columns + (1 << 20), window.left + (1 << 20)


def leave_the_workspace(content):
    convolution_in(content).target_at = 1 << 40


def claim_an_unknown_kind(content):
    convolution_in(content).kind = len(LayerKind)


@pytest.mark.parametrize(
    "change",
    [
        claim_another_method,
        claim_another_isa,
        claim_a_large_window,
        leave_the_workspace,
        claim_an_unknown_kind,
    ],
)
def test_a_blob_that_lies_is_made_anew(kept, change):
    """Its checksum is right: what it says of itself is not believed."""
    content = bytearray(blob_in(kept).read_bytes())
    change(content)
    reseal(blob_in(kept), content)
    expect_made_anew(kept)


def swap_layers(content):
    """The first convolution comes before what makes its source."""
    first, size = Header.from_buffer_copy(content).layers_at, ctypes.sizeof(Record)
    second, third = first + size, first + 2 * size
    content[first:third] = content[second:third] + content[first:second]


def leave_the_last_layer_out(content):
    """What makes the head."""
    Header.from_buffer(content).layers -= 1


@pytest.mark.parametrize("change", [swap_layers, leave_the_last_layer_out])
def test_nothing_is_read_before_it_is_written(kept, caplog, change):
    content = bytearray(blob_in(kept).read_bytes())
    change(content)
    reseal(blob_in(kept), content)
    expect_made_anew(kept)
    assert "reads what no layer has written" in caplog.text


def expect_made_anew(folder):
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=folder)
    assert not runs.recall("m")
    runs.load("m", infer_program())
    assert answer_of(runs) == INFER_ANSWER
    runs.close()
    again = InferRuns(MEMORY_BYTES, 1, blob_folder=folder)
    assert again.recall("m") and answer_of(again) == INFER_ANSWER
    again.close()


def test_a_blob_of_another_program_is_made_anew(kept):
    """An id that stands for another program now does not give the old one's answer."""
    program = infer_program()
    changed = Program(
        program.shapes, program.precisions,
        {**program.parameters, 2: program.parameters[2] + 512}, program.steps, program.heads,
    )  # fmt: skip
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=kept)
    runs.load("m", changed)
    assert answer_of(runs) != INFER_ANSWER
    runs.close()


def test_the_folder_keeps_to_its_budget(tmp_path):
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=tmp_path, blob_budget_bytes=1)
    for model_id in ("a", "b", "c"):
        runs.load(model_id, infer_program())
        assert answer_of(runs, model_id) == INFER_ANSWER
    assert [answer_of(runs, each) for each in ("a", "b", "c")] == [INFER_ANSWER] * 3
    assert len(list(tmp_path.iterdir())) == 1
    runs.close()


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=tmp_path / "file")
    runs.load("m", infer_program())
    assert answer_of(runs) == INFER_ANSWER
    runs.close()


def test_a_full_disk_is_done_without(tmp_path, monkeypatch):
    """The room is asked for before the bytes are written, as a full disk may end a process that
    writes to mapped memory."""
    asked = []

    def refuse(handle, at, size):
        asked.append(size)
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=tmp_path)
    runs.load("m", infer_program())
    assert answer_of(runs) == INFER_ANSWER
    assert asked and not list(tmp_path.iterdir())
    runs.close()


def test_what_killed_writers_left_is_removed(tmp_path):
    old, new = tmp_path / "old.part", tmp_path / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    runs = InferRuns(MEMORY_BYTES, 1, blob_folder=tmp_path)
    runs.load("m", infer_program())
    runs.close()
    assert not old.exists() and new.exists()


def test_the_memory_limit_holds(kept):
    """Of the packed model and its activations together."""
    for limit in (1 << 10, blob_in(kept).stat().st_size):
        with pytest.raises(OutOfMemory, match="more memory"):
            InferRuns(limit, 1).load("m", infer_program())
        with pytest.raises(OutOfMemory, match="more memory"):
            InferRuns(limit, 1, blob_folder=kept).recall("m")


def test_what_does_not_fit_is_not_packed(tmp_path):
    runs = InferRuns(1 << 10, 1, blob_folder=tmp_path)
    with pytest.raises(OutOfMemory, match="more memory"):
        runs.load("m", infer_program())
    assert not list(tmp_path.iterdir())
    runs.close()


def test_a_worker_recalls_what_another_left(tmp_path):
    for is_first in (True, False):
        with open_session("cpu", "cpu:0", Capability.INFER, blob_folder=str(tmp_path)) as session:
            assert session.recall("m") is not is_first
            session.load("m", infer_program())
            assert np.frombuffer(session.run("m", DATA), "<i4").tolist() == list(INFER_ANSWER)


def test_what_older_code_packed_is_not_used(kept, monkeypatch):
    monkeypatch.setattr("drivers.cpu.blob_cache.digest_code", lambda: "newer")
    expect_made_anew(kept)
    assert len(list(kept.iterdir())) == 1
