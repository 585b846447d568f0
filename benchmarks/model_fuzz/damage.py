"""Damage to files: of their bytes, and of what they say."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

from node.spec.cvm import CvmLoadError, load_graph

_REPAIRS = 6
_SHAPE = re.compile(r"(.*): its shape is \((.*)\), not .*")

#: Numbers at which parsers break: borders of types and of the rules, and beyond.
NUMBERS = (
    *(-(2**63), -(2**31), -4097, -129, -2, -1, 0, 1, 2, 3, 6, 7, 8, 9, 16, 31, 32, 33, 128, 255),
    *(256, 4096, 4097, 2**16, 2**24, 2**24 + 1, 2**30, 2**31 - 1, 2**31, 2**32, 2**62, 2**63),
    *(2**64, 10**30),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0.5, 1e308, "", "data", "\x00", "é" * 50, "[1, 2", "(1, 2)", "9" * 5000),
    *([], {}, [[]] * 9, {"a": {}}, [0, 0, 0], [1, 0, 0], ["list_int", []]),
)
TEXTS = (
    *("(1, 1)", "(2, 2)", "(0, 0)", "(-1,)", "()", "(1,", "(3, 3, 3)", "(1, 2, 3, 4)", "None"),
    *("True", "False", "edge", "linear", "reflect", "NCHW", "1e3", "٣", " 7 ", "+1", "0x10"),
)


def damage_bytes(chance: random.Random, content: bytes) -> bytes:
    """Some bytes changed, cut out, repeated, or the end cut off."""
    found = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del found[at:]
        elif kind == 1:
            del found[at : at + chance.randrange(1, 17)]
        elif kind == 2:
            found[at:at] = chance.randbytes(chance.randrange(1, 17))
        elif kind == 3:
            number = chance.choice(NUMBERS) % 2**64
            size = chance.choice((1, 4, 8))
            found[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, "little")
        elif found:
            found[at % len(found)] ^= 1 << chance.randrange(8)
    return bytes(found)


def damage_symbol(chance: random.Random, symbol: bytes) -> bytes:
    """Other values in the graph, well-formed."""
    root = json.loads(symbol)
    for _ in range(chance.choice((1, 1, 2, 3))):
        _damage_tree(chance, root)
    return json.dumps(root).encode()


def damage_attributes(chance: random.Random, symbol: bytes) -> bytes:
    """Other attributes of operators alone."""
    root = json.loads(symbol)
    texts = root["attrs"]["op_attrs"][1]
    for _ in range(chance.choice((1, 1, 2))):
        place = chance.choice([i for i, text in enumerate(texts) if text != "{}"] or [0])
        texts[place] = _nearby(chance, texts[place])
    return json.dumps(root).encode()


def _damage_tree(chance: random.Random, root: Any) -> None:
    """Change one place, which is found by walking down at random."""
    parent = root
    while True:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not keys:
            return
        key = chance.choice(keys)
        inner = parent[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.05:
            break
        parent = inner
    kind = chance.randrange(10)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(chance.choice(parent)))
    elif kind == 2:
        parent[key] = _value(chance)
    else:
        parent[key] = _nearby(chance, parent[key])


def _nearby(chance: random.Random, value: Any) -> Any:
    """Another value of the same type, often a plausible one."""
    if isinstance(value, int):
        return chance.choice((value + 1, value - 1, value * 2, chance.choice(NUMBERS)))
    if isinstance(value, str) and value.startswith("{"):
        inner = json.loads(value)
        if inner:
            key = chance.choice(list(inner))
            inner[key] = damage_text(chance, inner[key])
        return json.dumps(inner)
    if isinstance(value, str):
        return chance.choice(("conv2d", "sum", "where", "table", value + "_3", value[:-1]))
    return _value(chance)


def _value(chance: random.Random) -> Any:
    """One of `VALUES`, of its own: the tree that it comes into is damaged further."""
    return copy.deepcopy(chance.choice(VALUES))


def repair_shapes(symbol: bytes) -> bytes:
    """The symbol with the shapes that its damaged attributes give, where they give any: so that
    odd attributes are run, and not only refused."""
    for _ in range(_REPAIRS):
        try:
            load_graph(symbol, extended=True)
        except CvmLoadError as error:
            found = _SHAPE.fullmatch(str(error))
            if not found:
                return symbol
            symbol = _reshape(symbol, found[1], json.loads(f"[{found[2].rstrip(',')}]"))
    return symbol


def _reshape(symbol: bytes, name: str, shape: list[int]) -> bytes:
    root = json.loads(symbol)
    for index, node in enumerate(root["nodes"]):
        if node["name"] == name and node["op"] != "null":
            root["attrs"]["shape"][1][root["node_row_ptr"][index]] = shape
    return json.dumps(root).encode()


def damage_text(chance: random.Random, text: str) -> str:
    """Another number in a text, or another text."""
    numbers = list(re.finditer(r"-?\d+", text))
    if not numbers or chance.random() < 0.1:
        return chance.choice(TEXTS)
    found = chance.choice(numbers)
    number = int(found[0])
    plausible = (number + 1, number - 1, chance.randrange(6), chance.randrange(6))
    other = chance.choice((*plausible, -number, chance.choice(NUMBERS)))
    return f"{text[: found.start()]}{other}{text[found.end() :]}"
