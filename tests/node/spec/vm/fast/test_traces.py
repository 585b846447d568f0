"""What the fast interpreter compiles, and when."""

from __future__ import annotations

from node.spec.vm.context import Message
from node.spec.vm.fast import program
from node.spec.vm.fast.program import PATIENCE, Program
from node.spec.vm.fast.tracing import Code, write_trace
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
    return write_trace(Code(code, table, frozenset(targets), lambda pc: warm), head)


def test_a_loop_stays_in_its_function():
    text = source(LOOP, 2, {2})
    assert "while True" in text
    assert "continue" in text
    assert text.count("gas -=") == 1


def test_a_path_not_taken_yet_is_left_out():
    code = bytes.fromhex("35600757600160005b600260005500")
    assert "op_55" in source(code, 0, {8})
    assert "op_55" not in source(code, 0, {8}, warm=False)


def test_code_is_compiled_when_it_has_run_often(monkeypatch):
    compiled: list[int] = []
    write = program.write_trace
    monkeypatch.setattr(
        program, "write_trace", lambda code, head: compiled.append(head) or write(code, head)
    )
    bench = Bench()
    found = Program(LOOP, schedule_of(bench), PATIENCE)
    bench.interpret = found.run
    for _ in range(PATIENCE + 1):
        assert bench.run(LOOP).gas_left == 1_000_000 - 3 - 29 * 1_000
        assert compiled[0] == 2
    assert compiled == [2, 0, 14]


def test_most_of_a_loop_runs_compiled(monkeypatch):
    steps: list[int] = []

    def count(frame: Frame, stops) -> Message | None:
        steps.append(frame.pc)
        return interpret(frame, stops)

    monkeypatch.setattr(program, "interpret", count)
    bench = Bench()
    bench.interpret = Program(LOOP, schedule_of(bench), PATIENCE).run
    bench.run(LOOP)
    assert 0 < len(steps) <= PATIENCE + 2


def test_no_more_is_compiled_than_has_room(monkeypatch):
    """Each JUMPDEST of many would become a function of its own."""
    monkeypatch.setattr(program, "MAX_SOURCE_CHARACTERS", 2_000)
    body = b"\x5b" + push(1) * 20 + b"\x50" * 20
    code = body * 50
    bench = Bench()
    found = Program(code, schedule_of(bench), 0)
    bench.interpret = found.run
    for _ in range(3):
        assert bench.run(code, gas=10**7).error is None
    assert len(found._traces) < 50
