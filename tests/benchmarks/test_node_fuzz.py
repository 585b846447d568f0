"""Some seconds of the fuzzing, and that it finds what is wrong."""

from __future__ import annotations

import pytest

from benchmarks.node_fuzz import rlp, rpc
from node.spec.types import Transaction


def test_decoders_take_encodings_alone() -> None:
    found = rlp.fuzz_rlp(2.0, seed=7)
    assert found["inputs"] > 100
    assert all(found[f"taken_as_{name}"] > 0 for name in ("item", "header", "transaction", "block"))


def test_a_decoder_that_takes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes) -> Transaction:
        return Transaction.decode(data.rstrip(b"\0"))

    monkeypatch.setitem(rlp.DECODERS, "transaction", careless)
    encoded = next(s for s in rlp.seeds() if s[-1] and is_transaction(s))
    with pytest.raises(RuntimeError, match="not its encoding"):
        rlp.check("transaction", encoded + b"\0")


def is_transaction(data: bytes) -> bool:
    try:
        return rlp.check("transaction", data)
    except RuntimeError:
        return False


def test_questions_are_answered_or_refused_by_type() -> None:
    found = rpc.fuzz_rpc(4.0, seed=7)
    assert found["answers"] > 0 and found["errors"] > 0
