"""The tour's contract: ``classify(model, input)`` runs INFER and logs the class with the highest
score. Both arguments are addresses of metadata contracts."""

from __future__ import annotations

from typing import Any

from farmctl.tour.assembler import assemble
from node.spec.crypto import keccak

WORD_BYTES = 32
ABI: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "classify",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "model", "type": "address"}, {"name": "input", "type": "address"}],
        "outputs": [{"name": "class", "type": "uint256"}],
    },
    {
        "type": "event",
        "name": "Classified",
        "anonymous": False,
        "inputs": [
            {"name": "model", "type": "address", "indexed": True},
            {"name": "input", "type": "address", "indexed": True},
            {"name": "class", "type": "uint256", "indexed": False},
        ],
    },
]
_SELECTOR = keccak(b"classify(address,address)")[:4]
_TOPIC = keccak(b"Classified(address,address,uint256)")

_SOURCE = """
    PUSH 0 CALLDATALOAD PUSH 224 SHR
    PUSH {selector} EQ @classify JUMPI
    PUSH 0 PUSH 0 REVERT
classify:
    PUSH {words} PUSH 0 MSTORE          ; memory 0: the uint256[] that takes the scores
    PUSH 0 PUSH {last_word} MSTORE      ; and its room, which INFER wants to be there
    PUSH 0                              ; the array's place
    PUSH 36 CALLDATALOAD                ; the input
    PUSH 4 CALLDATALOAD                 ; the model
    INFER POP                           ; it answers 1, or the frame fails
    PUSH 0 PUSH 1                       ; best, i
loop:
    DUP1 PUSH {classes} EQ @done JUMPI
    DUP1 {score}                        ; best, i, score(i)
    DUP3 {score}                        ; best, i, score(i), score(best)
    SLT ISZERO @next JUMPI
    SWAP1 POP DUP1                      ; best = i
next:
    PUSH 1 ADD @loop JUMP
done:
    POP PUSH 0 MSTORE
    PUSH 36 CALLDATALOAD PUSH 4 CALLDATALOAD PUSH {topic}
    PUSH 32 PUSH 0 LOG3
    PUSH 32 PUSH 0 RETURN
"""
#: From an index to the signed score there: its bytes at the top of a word, shifted down.
_SCORE = "PUSH {width} MUL PUSH 32 ADD MLOAD PUSH {shift} SAR"


def classifier(classes: int, element_bytes: int) -> bytes:
    """Runtime code for models whose output is ``classes`` integers of ``element_bytes``."""
    words = -(-classes * element_bytes // WORD_BYTES)
    return assemble(
        _SOURCE.format(
            selector=int.from_bytes(_SELECTOR, "big"),
            topic=int.from_bytes(_TOPIC, "big"),
            words=words,
            last_word=words * WORD_BYTES,
            classes=classes,
            score=_SCORE.format(width=element_bytes, shift=256 - 8 * element_bytes),
        )
    )
