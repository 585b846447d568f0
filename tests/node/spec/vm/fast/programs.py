"""Random programs that get somewhere: valid jumps, a stack that holds what they take.

A program is blocks that begin and end with `HELD` items on the stack and jump among themselves;
a count in memory ends it. What it leaves behind are its memory, its stack and its storage.
"""

from __future__ import annotations

from random import Random

from tests.node.spec.vm.bench import push

OTHER = b"\x0e" * 20
HELD = 6
COUNT_OFFSET = 0x400
#: Operations without a price of their own, by the items that they pop.
PURE = {
    1: (0x15, 0x19, 0x35),
    2: (*range(0x01, 0x08), 0x0B, *range(0x10, 0x15), *range(0x16, 0x19), *range(0x1A, 0x1E)),
    3: (0x08, 0x09),
}
FREE = (0x30, 0x33, 0x34, 0x36, 0x38, 0x3D, 0x46, 0x47, 0x58, 0x59, 0x5A)
WORDS = (0, 1, 2, 31, 32, 255, 256, 2**64, 2**160, 2**255 - 1, 2**255, 2**256 - 1)
LABEL_BYTES = 3


def make_program(random: Random) -> bytes:
    bodies = [_Block(random).body for _ in range(random.randint(1, 5))]
    ends = [_end(random, len(bodies)) for _ in bodies]
    start = b"".join(push(_word(random)) for _ in range(HELD))
    start += _store(COUNT_OFFSET, random.randint(1, 12))
    parts, labels, position = [start], [], len(start)
    for body, end in zip(bodies, ends, strict=True):
        labels.append(position)
        parts += [b"\x5b" + _count_down() + body, end]
        position += 1 + len(_count_down()) + len(body) + len(end)
    labels.append(position)
    code = b"".join(parts) + b"\x5b" + _leave(random)
    return _link(code, labels)


def _link(code: bytes, labels: list[int]) -> bytes:
    """Put positions in place of the pushes of a label: PUSH3 FF FF n."""
    for index, position in enumerate(labels):
        code = code.replace(b"\x62\xff\xff" + bytes((index,)), push(position, LABEL_BYTES))
    return code.replace(b"\x62\xff\xff\xff", push(labels[-1], LABEL_BYTES))


def _label(index: int) -> bytes:
    return b"\x62\xff\xff" + bytes((index,))


def _count_down() -> bytes:
    """Go to the end where the count is zero, else make it one less."""
    load = push(COUNT_OFFSET) + b"\x51"
    less = push(1) + load + b"\x03" + push(COUNT_OFFSET) + b"\x52"
    return load + b"\x15" + b"\x62\xff\xff\xff" + b"\x57" + less


def _store(offset: int, word: int) -> bytes:
    return push(word) + push(offset) + b"\x52"


def _end(random: Random, count: int) -> bytes:
    """On to the next block, to any, or to one of two by a value of the stack."""
    target = _label(random.randrange(count))
    dynamic = push(random.randrange(2)) + push(0) + b"\x02" + target + b"\x01\x56"
    branch = bytes((0x80 + random.randrange(HELD),))
    compared = branch + b"\x81" + bytes((random.choice((0x10, 0x11, 0x12, 0x13, 0x14)),))
    choices = (
        b"",
        target + b"\x56",
        branch + target + b"\x57",
        compared + target + b"\x57",
        compared + b"\x15" + target + b"\x57",
        dynamic,
    )
    return random.choice(choices)


def _leave(random: Random) -> bytes:
    """Return, or revert with, memory and stack; or store the stack and stop."""
    if not random.randrange(4):
        return b"".join(push(index) + b"\x55" for index in range(HELD)) + b"\x00"
    saved = b"".join(push(COUNT_OFFSET + 64 + 32 * i) + b"\x52" for i in range(HELD))
    return saved + push(0x600) + push(0) + random.choice((b"\xf3", b"\xf3", b"\xfd"))


def _word(random: Random) -> int:
    return random.choice((*WORDS, random.randrange(100), random.randrange(2**256)))


def _call(random: Random) -> bytes:
    """CALL, STATICCALL or DELEGATECALL of another contract, or of the identity."""
    opcode, values = random.choice(((b"\xf1", 1), (b"\xfa", 0), (b"\xf4", 0)))
    target = random.choice((int.from_bytes(OTHER, "big"), 4))
    areas = push(32) + push(random.randrange(96)) + push(random.choice((0, 40))) + push(0)
    value = push(0) * values
    return areas + value + push(target) + push(random.choice((200, 5_000))) + opcode


class _Block:
    """The straight code of one block."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._height = HELD
        self.body = b""
        for _ in range(random.randint(0, 14)):
            self._add_piece()
        while self._height > HELD:
            self._add(b"\x50", 1, 0)
        while self._height < HELD:
            self._add(push(_word(random)), 0, 1)

    def _add(self, code: bytes, pops: int, pushes: int) -> None:
        assert self._height >= pops
        self.body += code
        self._height += pushes - pops

    def _add_piece(self) -> None:
        random, height = self._random, self._height
        kind = random.randrange(12)
        if kind < 4:
            pops = random.randint(1, min(3, height)) if height else 0
            if pops:
                self._add(bytes((random.choice(PURE[pops]),)), pops, 1)
        elif kind < 6 and height:
            self._add(bytes((0x80 + random.randrange(height),)), 0, 1)
        elif kind < 8 and height > 1:
            self._add(bytes((0x90 + random.randrange(height - 1),)), 0, 0)
        elif kind == 8:
            self._add(push(_word(random)), 0, 1)
        elif kind == 9:
            self._add(bytes((random.choice(FREE),)), 0, 1)
        else:
            self._add_access()

    def _add_access(self) -> None:
        """Memory, storage, hashes, copies and logs, at places near one another."""
        random = self._random
        offset, size = push(random.randrange(0x100)), push(random.choice((0, 1, 31, 32, 33, 70)))
        mask = push(0xFF) + b"\x16"
        pieces = [
            (offset + b"\x51", 0, 1),
            (size + offset + b"\x20", 0, 1),
            (size + push(random.randrange(40)) + offset + random.choice((b"\x37", b"\x39")), 0, 0),
            (push(random.randrange(3)) + b"\x54", 0, 1),
            (_call(random), 0, 1),
            (size + offset + b"\xa0", 0, 0),
            (
                push(random.randrange(3)) + push(0) + push(random.choice((0, 0, 0, 70))) + b"\x3e",
                0,
                0,
            ),
        ]
        if self._height:
            pieces += [
                (offset + b"\x52", 1, 0),
                (offset + b"\x53", 1, 0),
                (mask + b"\x51", 1, 1),
                (mask + offset + b"\x20", 1, 1),
                (b"\x80" + mask + b"\x52", 1, 0),
                (push(random.randrange(3)) + b"\x55", 1, 0),
                (size + offset + b"\xa1", 1, 0),
                (push(random.randrange(3)) + b"\x0a", 1, 1),
            ]
        self._add(*random.choice(pieces))
