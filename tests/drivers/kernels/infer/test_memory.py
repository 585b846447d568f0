"""Buffers that live at once lie apart; parts lie within their wholes."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.kernels.infer.layers import Concatenate, Convert, Form, Plan, Tensor
from drivers.kernels.infer.memory import Lifetime, Part, arrange, find_lifetimes, nest_parts


@pytest.mark.parametrize("seed", range(20))
def test_what_lives_at_once_lies_apart(seed):
    random = np.random.default_rng(seed)
    first = random.integers(0, 20, 30)
    lifetimes = {n: Lifetime(int(f), int(f + random.integers(0, 6))) for n, f in enumerate(first)}
    sizes = {n: int(random.integers(1, 1000)) for n in lifetimes}
    arena = arrange(sizes, lifetimes, 64)
    for one in sizes:
        assert arena.places[one] % 64 == 0
        assert arena.places[one] + sizes[one] <= arena.total_bytes
        for other in range(one):
            apart = (
                arena.places[one] + sizes[one] <= arena.places[other]
                or arena.places[other] + sizes[other] <= arena.places[one]
            )
            assert apart or not lifetimes[one].meets(lifetimes[other])
    assert arena.total_bytes < sum(sizes.values()) + 64 * len(sizes)


def byte_tensor(channels: int, low: int = 0) -> Tensor:
    return Tensor((1, channels, 2, 2), Form.BYTES, low, 100)


def plan_of(*joins: Concatenate, tensors: tuple[Tensor, ...]) -> Plan:
    words = Tensor((1, 9, 2, 2), Form.WORDS, 0, 100)
    return Plan((words, *tensors), {}, (Convert(0, 1), *joins, Convert(3, 0)), (0,))


def test_parts_lie_within_the_outermost_whole():
    """1 and 2 make 3; 4 and 3 make 5."""
    tensors = tuple(map(byte_tensor, (3, 4, 7, 2, 9)))
    plan = plan_of(Concatenate((1, 2), 3), Concatenate((4, 3), 5), tensors=tensors)
    assert nest_parts(plan) == {4: Part(5, 0), 3: Part(5, 2), 1: Part(5, 2), 2: Part(5, 5)}


def test_a_part_taken_twice_lies_in_one_place():
    plan = plan_of(Concatenate((1, 1), 3), tensors=tuple(map(byte_tensor, (3, 4, 6))))
    assert nest_parts(plan) == {1: Part(3, 0)}


def test_a_part_of_another_zero_is_copied():
    tensors = (byte_tensor(3), byte_tensor(4, -1), byte_tensor(7, -1))
    plan = plan_of(Concatenate((1, 2), 3), tensors=tensors)
    assert nest_parts(plan) == {2: Part(3, 3)}


def test_parts_begin_at_multiples_of_a_step():
    """4 would begin at channel 24 of 5."""
    tensors = tuple(map(byte_tensor, (16, 8, 24, 8, 32)))
    plan = plan_of(Concatenate((1, 2), 3), Concatenate((3, 4), 5), tensors=tensors)
    assert nest_parts(plan, 16) == {3: Part(5, 0), 1: Part(5, 0), 2: Part(5, 16)}
    assert 4 in nest_parts(plan, 8)


def test_heads_live_to_the_end():
    plan = plan_of(tensors=(byte_tensor(3), byte_tensor(4), byte_tensor(7)))
    assert find_lifetimes(plan, {})[0] == Lifetime(-1, 2)


def test_a_whole_lives_as_long_as_its_parts():
    """1 and 2 make 4 at layer 1; 1 is made at layer 0."""
    tensors = tuple(map(byte_tensor, (3, 4, 3, 7)))
    plan = plan_of(Concatenate((1, 2), 4), tensors=tensors)
    parts = nest_parts(plan)
    assert parts == {1: Part(4, 0), 2: Part(4, 3)}
    lifetimes = find_lifetimes(plan, parts)
    assert lifetimes[4] == Lifetime(0, 1)
    assert not parts.keys() & lifetimes.keys()
