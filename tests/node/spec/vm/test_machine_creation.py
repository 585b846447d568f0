"""Creations: plain code, metadata, prices and failures."""

from __future__ import annotations

import pytest

from node.spec.crypto import keccak
from node.spec.meta import InputMeta, ModelMeta
from node.spec.vm import Message
from node.spec.vm.errors import (
    AddressCollision,
    CodeDepositOutOfGas,
    CodeTooLarge,
    InsufficientBalance,
    MetaInvalid,
)
from tests.node.spec.vm.bench import CALLER, CONTRACT, Bench, answer, push

MODEL = ModelMeta(b"", b"\1" * 20, 10, (1,), (1,), 500, b"\xaa" * 20, 0)


def returning(size: int) -> bytes:
    """Initial code that returns zeros."""
    return push(size) + push(0) + b"\xf3"


def create(bench: Bench, code: bytes, gas: int = 1_000_000, value: int = 0):
    return bench.send(Message(CALLER, None, value, code, gas))


def test_code_costs_twenty_a_byte():
    bench = Bench()
    short, long = create(bench, returning(32)), create(bench, returning(64))
    assert short.gas_left - long.gas_left == 20 * 32 + 3
    assert bench.state.get_code(long.contract_address) == bytes(64)
    assert bench.state.get_nonce(CALLER) == 2


@pytest.mark.parametrize(
    ("size", "gas", "error"),
    [(24_577, 10_000_000, CodeTooLarge), (1_000, 19_000, CodeDepositOutOfGas)],
)
def test_a_refused_deposit_takes_all_gas(size, gas, error):
    outcome = create(Bench(), returning(size), gas)
    assert isinstance(outcome.error, error)
    assert outcome.gas_left == 0


def test_a_value_that_is_not_there_leaves_the_gas():
    outcome = create(Bench(), returning(1), value=1)
    assert isinstance(outcome.error, InsufficientBalance)
    assert outcome.gas_left == 1_000_000


def test_an_occupied_address_collides():
    bench = Bench()
    address = create(bench, returning(1)).contract_address
    bench.state.set_nonce(CALLER, 0)
    outcome = create(bench, returning(1))
    assert isinstance(outcome.error, AddressCollision)
    assert bench.state.get_code(address) == b"\0"


def test_create2_follows_from_salt_and_code():
    bench = Bench()
    bench.number = bench.chain.istanbul_block + 1
    outcome = bench.run(answer(push(7) + push(0) * 3 + b"\xf5"))
    expected = keccak(b"\xff" + CONTRACT + (7).to_bytes(32, "big") + keccak(b""))[12:]
    assert outcome.output[12:] == expected


def test_new_metadata_gets_its_block_and_upload():
    bench = Bench()
    outcome = create(bench, MODEL.encode())
    state, address = bench.state, outcome.contract_address
    assert ModelMeta.decode(state.get_code(address)).block_num == bench.number
    assert (state.get_upload(address), state.get_num(address)) == (10, bench.number)
    assert 1_000_000 - outcome.gas_left == 20 * len(state.get_code(address))


def test_an_input_of_no_bytes_is_refused():
    code = InputMeta(b"", b"\1" * 20, 0, (1,), 0).encode()
    assert isinstance(create(Bench(), code).error, MetaInvalid)


def test_metadata_that_was_called_does_nothing_but_show_itself():
    bench = Bench()
    meta = b"\x33" * 20
    code = ModelMeta(b"", b"\1" * 20, 10, (1,), (1,), 500, b"\xaa" * 20, 5).encode()
    bench.put(code, meta)
    call = push(0) * 5 + push(int.from_bytes(meta, "big")) + push(50_000) + b"\xf1"
    outcome = bench.run(call + b"\x50" + answer(b"\x3d"))
    assert int.from_bytes(outcome.output, "big") == len(code)
    assert bench.send(Message(CALLER, meta, 0, b"", 50_000)).output == b""


def test_plain_code_runs_without_its_prefix():
    outcome = Bench().run(bytes(2) + answer(b"\x38"))
    assert int.from_bytes(outcome.output, "big") == len(answer(b"\x38"))
