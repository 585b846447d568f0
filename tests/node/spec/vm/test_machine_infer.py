"""INFER and INFERARRAY: what they check, charge, count and write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.spec import rlp
from node.spec.crypto import keccak
from node.spec.meta import InputMeta, ModelMeta
from node.spec.vm import InferLogicError, InferRuntimeError, KernelFault
from node.spec.vm.errors import ArrayTooSmall, KernelLogicFailed, ModelUnusable, OutOfGas
from tests.node.spec.vm.bench import CALLER, CHAIN, CONTRACT, Bench, push

MODEL, INPUT, AUTHOR = b"\x11" * 20, b"\x22" * 20, b"\xaa" * 20
META = ModelMeta(b"", b"\1" * 20, 10, (1, 3), (3,), 500, AUTHOR, 10)
SOURCE = InputMeta(b"", b"\2" * 20, 10, (1, 3), 10)

#: An array of one word at 0, then INFER of MODEL and INPUT into it, then return it.
INFER_CODE = (
    push(1) + push(0) + b"\x52" + push(0) + push(32) + b"\x52"
    + push(0) + push(int.from_bytes(INPUT, "big")) + push(int.from_bytes(MODEL, "big"))
    + b"\xc0" + push(64) + push(0) + b"\xf3"
)  # fmt: skip
INFER_ARRAY_CODE = INFER_CODE.replace(push(int.from_bytes(INPUT, "big")), push(9)).replace(
    b"\xc0", b"\xc1"
)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    for address, meta in ((MODEL, META), (INPUT, SOURCE)):
        bench.state.set_num(address, 100)
        bench.put(meta.encode(), address)
    return bench


def test_infer_writes_the_result_and_counts_the_author(bench):
    outcome = bench.run(INFER_CODE)
    assert outcome.error is None
    assert outcome.output[32:35] == b"\1\2\3"
    assert outcome.author_gas == {AUTHOR: 500}
    assert bench.models.seen == [b"input " + b"\2" * 20]


def test_infer_costs_operations_and_the_authors_gas(bench):
    dear = bench.run(INFER_CODE).gas_left
    bench.models.operation_count = 0
    bench.put(replace(META, gas=0).encode(), MODEL)
    assert bench.run(INFER_CODE).gas_left - dear == 40_000 // 20_000 + 500


def test_inferarray_reads_storage_and_costs_a_million(bench):
    bench.state.set_storage(CONTRACT, 9, 2)
    first = int.from_bytes(keccak((9).to_bytes(32, "big")), "big")
    bench.state.set_storage(CONTRACT, first, 1)
    bench.state.set_storage(CONTRACT, first + 1, 2)
    outcome = bench.run(INFER_ARRAY_CODE, gas=2_000_000)
    assert outcome.error is None
    assert 2_000_000 - outcome.gas_left > 1_000_500
    assert bench.models.seen == [(1).to_bytes(32, "big") + (2).to_bytes(32, "big")]


@pytest.mark.parametrize(
    ("number", "upload"), [(0, 0), (901, 0), (100, 1)], ids=["never", "immature", "uploading"]
)
@pytest.mark.parametrize("address", [MODEL, INPUT], ids=["model", "input"])
def test_infer_refuses_what_is_not_ready(bench, address, number, upload):
    bench.state.set_num(address, number)
    bench.state.set_upload(address, upload)
    outcome = bench.run(INFER_CODE)
    assert isinstance(outcome.error, OutOfGas)
    assert outcome.gas_left == 0
    assert not bench.models.seen


def test_infer_refuses_another_shape(bench):
    bench.put(replace(SOURCE, shape=(3,)).encode(), INPUT)
    assert isinstance(bench.run(INFER_CODE).error, ModelUnusable)


def test_a_result_longer_than_the_array_fails(bench):
    bench.models.result = bytes(33)
    assert isinstance(bench.run(INFER_CODE).error, ArrayTooSmall)


def test_an_array_beyond_memory_fails(bench):
    code = INFER_CODE.replace(push(1) + push(0) + b"\x52", push(9) + push(0) + b"\x52")
    assert isinstance(bench.run(code).error, ModelUnusable)


def test_a_logic_error_fails_the_frame(bench):
    bench.models.failure = InferLogicError("bad model")
    outcome = bench.run(INFER_CODE)
    assert isinstance(outcome.error, KernelLogicFailed)
    assert outcome.gas_left == 0


def test_an_outage_is_never_an_answer(bench):
    bench.models.failure = InferRuntimeError("no device")
    with pytest.raises(InferRuntimeError):
        bench.run(INFER_CODE)
    with pytest.raises(InferRuntimeError):
        bench.run(calling(bench))


def test_a_kernels_fault_fails_an_inner_frame_only(bench):
    bench.models.failure = KernelFault("input too short")
    with pytest.raises(KernelFault):
        bench.run(INFER_CODE)
    outcome = bench.run(calling(bench))
    assert outcome.error is None
    assert int.from_bytes(outcome.output, "big") == 0


def test_a_failed_inner_call_still_counts_for_the_author(bench):
    bench.models.failure = InferLogicError("bad model")
    outcome = bench.run(calling(bench))
    assert outcome.error is None
    assert outcome.author_gas == {AUTHOR: 500}


def test_history_binds_the_result_without_the_engine(bench):
    key = keccak(rlp.encode(f"{META.hash.hex()}_{SOURCE.hash.hex()}".encode()))
    bench.chain = replace(CHAIN, fixed_results={key: b"\7\7"})
    outcome = bench.run(INFER_CODE)
    assert outcome.output[32:35] == b"\7\7\0"
    assert not bench.models.seen


def test_infer_needs_a_third_item(bench):
    assert bench.run(push(0) + push(0) + b"\xc0").error is not None


def calling(bench: Bench) -> bytes:
    """Code that calls the inferring code elsewhere and returns whether it succeeded."""
    bench.put(INFER_CODE, CALLER[:19] + b"\1")
    target = push(int.from_bytes(CALLER[:19] + b"\1", "big"))
    call = push(0) * 5 + target + push(100_000) + b"\xf1"
    return call + bytes.fromhex("60005260206000f3")
