"""What the vectors of the virtual machine share: a block of mainnet and a state to run in."""

from __future__ import annotations

from node.chains import find_chain
from node.spec.state import State
from node.spec.trie import MemoryStore
from node.spec.vm import BlockContext, InferRuntimeError, fast, interpreter
from node.spec.vm.frame import Interpret

#: Interpreters that vectors are run through. The fast one compiles everything here, which it
#: otherwise does with what runs often.
CHECKED: dict[str, Interpret] = {
    "readable": interpreter.interpret,
    "fast": fast.interpret_compiled,
}


class NoModels:
    """Inference where no model's files are at hand."""

    def operations(self, model: bytes, raw_size: int) -> int:
        raise InferRuntimeError(f"no files of model {model.hex()}")

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError(f"no files of input {infohash.hex()}")

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError(f"no files of model {model.hex()}")


def new_state() -> State:
    return State(MemoryStore())


def mainnet_block(number: int) -> BlockContext:
    return BlockContext(
        chain=find_chain("mainnet"),
        number=number,
        timestamp=0,
        coinbase=bytes(20),
        difficulty=0,
        gas_limit=10_000_000,
        block_hash=lambda _: bytes(32),
    )


def short_address(number: int) -> bytes:
    """The address that is a small number."""
    return number.to_bytes(20, "big")
