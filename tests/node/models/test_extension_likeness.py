"""Models of the extension form are recognised as those of the official form are."""

from __future__ import annotations

import numpy as np

from node.models.fingerprint import fingerprint
from node.models.likeness import Kind, compare
from node.mrt.conversion import Form, Settings, convert
from node.mrt.forms.cvm_arithmetic import Scaling
from node.spec.cvm import Graph, load
from node.spec.cvm.writer import ModelWriter
from tests.support.digits import train_digits


def converted(samples: int = 64, form: Form = Form.EXTENSION, bits: int = 8) -> Graph:
    digits = train_digits()
    settings = Settings(form=form, scaling=Scaling.MULTIPLIER, weight_bits=bits)
    found = convert(digits.onnx, digits.training[:samples], settings=settings, judge=False)
    return load(found.symbol, found.parameters, extended=True)


def branches(prefix: str, *, swapped: bool = False, own: int = 3, theirs: int = 5) -> Graph:
    """Two convolutions of one input, added with a factor each."""
    writer = ModelWriter(extended=True)
    data = writer.add_input((1, 2, 4, 4), 8)
    numbers = np.random.default_rng(3)
    sums = []
    for name, size in (("a", 1), ("b", 3)):
        weight = writer.add_parameter(
            f"{prefix}{name}_w", numbers.integers(-9, 9, (3, 2, size, size)), 8
        )
        conv = writer.add(
            "conv2d", f"{prefix}{name}", [data, weight],
            channels=3, kernel_size=(size, size), padding=size // 2, use_bias=False,
        )  # fmt: skip
        sums.append(writer.add("cvm_clip", f"{prefix}{name}_c", [conv], precision=8))
    factors = {"own": own, "theirs": theirs}
    if swapped:
        sums.reverse()
        factors = {"own": theirs, "theirs": own}
    total = writer.add("scaled_add", f"{prefix}s", sums, shift=3, low=0, high=255, **factors)
    return load(*writer.finish([total]), extended=True)


def test_terms_may_change_places_with_their_factors() -> None:
    plain, other = (fingerprint(branches(n, swapped=s)) for n, s in (("", False), ("x_", True)))
    assert plain.structure == other.structure and plain.weights_hash == other.weights_hash
    assert compare(plain, other).kind is Kind.RENAMED


def test_terms_that_change_places_alone_are_another_model() -> None:
    plain, other = fingerprint(branches("")), fingerprint(branches("", own=5, theirs=3))
    assert plain.structure != other.structure
    assert plain.architecture == other.architecture


def test_another_calibration_is_the_same_architecture_and_a_copy() -> None:
    """Its multipliers differ; its weights are the same."""
    plain, other = fingerprint(converted(64)), fingerprint(converted(4))
    assert plain.weights_hash != other.weights_hash
    assert plain.architecture == other.architecture
    assert compare(plain, other).is_copy


def test_a_model_of_six_bits_is_a_copy() -> None:
    found = compare(fingerprint(converted()), fingerprint(converted(bits=6)))
    assert found.is_copy and found.same_architecture
