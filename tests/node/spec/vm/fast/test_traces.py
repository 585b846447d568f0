"""What the fast interpreter compiles, and when."""

from __future__ import annotations

import pytest

from node.spec.vm.context import Message
from node.spec.vm.fast import program
from node.spec.vm.fast.program import BASE_BYTES, PATIENCE, Program, Programs
from node.spec.vm.fast.tracing import Code, Draft, write_trace
from node.spec.vm.frame import Frame
from node.spec.vm.interpreter import interpret
from node.spec.vm.opcodes import operations
from node.spec.vm.schedule import schedule_at
from tests.node.spec.vm.bench import Bench, push

#: Counts to 1,000 in a loop of one block.
LOOP = bytes.fromhex("60005b6001018061" + "03e8" + "11600257" + "00")


def schedule_of(bench: Bench):
    return schedule_at(bench.chain, bench.number)


def source(code: bytes, head: int, targets: set[int], warm: bool = True) -> str:
    table = operations(schedule_of(Bench()))
    return write_trace(Code(code, table, frozenset(targets), lambda pc: warm), head).source


def test_a_loop_stays_in_its_function():
    text = source(LOOP, 2, {2})
    assert "while True" in text
    assert "continue" in text
    assert text.count("gas -=") == 1


def test_a_path_not_taken_yet_is_left_out():
    code = bytes.fromhex("35600757600160005b600260005500")
    assert "op_55" in source(code, 0, {8})
    assert "op_55" not in source(code, 0, {8}, warm=False)


@pytest.fixture
def drafts(monkeypatch) -> list[tuple[int, Draft]]:
    """Every trace that is written, with its position."""
    found: list[tuple[int, Draft]] = []

    def note(code: Code, head: int, most: int) -> Draft:
        found.append((head, write_trace(code, head, most)))
        return found[-1][1]

    monkeypatch.setattr(program, "write_trace", note)
    return found


def test_a_loop_is_compiled_while_it_runs(drafts):
    bench = Bench()
    bench.interpret = Program(LOOP, schedule_of(bench), PATIENCE).run
    assert bench.run(LOOP).gas_left == 1_000_000 - 3 - 29 * 1_000
    assert [head for head, draft in drafts if not draft.is_cut] == [2]


def test_code_without_a_loop_is_compiled_when_it_has_run_often(drafts):
    code = push(1) * 4 + b"\x01" * 3 + b"\x00"
    bench = Bench()
    bench.interpret = Program(code, schedule_of(bench), PATIENCE).run
    for _ in range(PATIENCE):
        bench.run(code)
    assert not drafts
    for _ in range(4 * PATIENCE):
        assert bench.run(code).gas_left == 1_000_000 - 7 * 3
    assert [head for head, draft in drafts if not draft.is_cut] == [0]


def test_most_of_a_loop_runs_compiled(monkeypatch):
    steps: list[int] = []

    def count(frame: Frame, stops) -> Message | None:
        steps.append(frame.pc)
        return interpret(frame, stops)

    monkeypatch.setattr(program, "interpret", count)
    bench = Bench()
    bench.interpret = Program(LOOP, schedule_of(bench), PATIENCE).run
    bench.run(LOOP)
    assert PATIENCE < len(steps) <= 4 * PATIENCE


def test_compiling_is_paid_for_by_what_ran_before(drafts):
    """Many positions lead to one long tail, which would be compiled for each of them."""
    heads, tail = 40, b"\x5b" + (push(1) + b"\x50") * 250 + b"\x00"
    table = b"".join(b"\x5b" + push(6 + heads * 5, 2) + b"\x56" for _ in range(heads))
    code = push(0) + b"\x35\x56\x00\x00" + table + tail
    bench = Bench()
    bench.interpret = Program(code, schedule_of(bench), PATIENCE).run
    calls = 20
    for _ in range(calls):
        for head in range(heads):
            data = (6 + 5 * head).to_bytes(32, "big")
            assert bench.run(code, data=data).error is None
    entries = calls * heads * 3
    assert any(not draft.is_cut for _, draft in drafts)
    assert sum(draft.operations for _, draft in drafts) <= entries


def test_no_more_is_compiled_than_has_room(monkeypatch):
    """Each JUMPDEST of many would become a function of its own."""
    monkeypatch.setattr(program, "CHARACTERS_PER_BYTE", 1)
    body = b"\x5b" + push(1) * 20 + b"\x50" * 20
    code = body * 50
    bench = Bench()
    found = Program(code, schedule_of(bench), 0)
    bench.interpret = found.run
    for _ in range(3):
        assert bench.run(code, gas=10**7).error is None
    assert len(found._traces) < 50


def test_programs_are_kept_while_they_are_used():
    schedule, codes = schedule_of(Bench()), [bytes((1, n)) for n in range(20)]
    programs = Programs(limit_bytes=5 * (BASE_BYTES + 2))
    first = programs.find(codes[0], schedule)
    for code in codes:
        programs.find(code, schedule)
        assert programs.find(codes[0], schedule) is first
        assert len(programs._young) + len(programs._old) <= 10
    for code in codes[1:13]:
        programs.find(code, schedule)
    assert programs.find(codes[0], schedule) is not first
