"""How often a model names the expected class of a labelled set, through the exact engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.inference import InferEngine
from node.models.errors import MalformedModel
from node.models.input_file import read_array
from node.models.loading import GraphLoader
from node.models.notices import LabelledSet
from node.models.storage import DATA
from node.spec.cvm import Graph

MAX_ITEMS = 100_000


@dataclass(frozen=True)
class Tally:
    """So far."""

    done: int
    right: int
    items: int

    @property
    def accuracy(self) -> float | None:
        """None before the first."""
        return self.right / self.done if self.done else None


def evaluate(
    loader: GraphLoader,
    engine: InferEngine,
    model: bytes,
    labelled: LabelledSet,
    report: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Run the model (infohash) on each input of the set; ``report`` may raise to end it.

    Raises:
        EngineUnavailable: no engine, or a content that cannot be fetched now.
        MalformedModel: the set does not fit the model.
        ModelFault: the model fails on an input.
        StorageError: a content of the set is not here.
    """
    graph = loader.load(model)
    inputs = read_array(loader.storage.read(labelled.inputs, DATA))
    labels = read_array(loader.storage.read(labelled.labels, DATA))
    tally = Tally(0, 0, len(labels) if labels.ndim == 1 else 0)
    for data, label in _pairs(graph, inputs, labels):
        output = engine.run(model.hex(), data).output
        right = predicted_class(graph, output) == label
        tally = Tally(tally.done + 1, tally.right + right, tally.items)
        report(tally)
    return tally


def predicted_class(graph: Graph, output: bytes) -> int:
    """Of an answer in the kernel's form: the index that argmax gave, else where the highest score
    stands, the first of equals."""
    values = np.frombuffer(output, graph.output_type)
    return int(values[0]) if graph.postprocess == "argmax" else int(values.argmax())


def _pairs(
    graph: Graph, inputs: NDArray[np.int32], labels: NDArray[np.int32]
) -> Iterator[tuple[bytes, int]]:
    shape = graph.input_shape[1:] if graph.input_shape[0] == 1 else graph.input_shape
    if labels.ndim != 1 or inputs.shape != (len(labels), *shape):
        raise MalformedModel(
            f"{inputs.shape} inputs and {labels.shape} labels do not fit a model of {shape}"
        )
    if not 0 < len(labels) <= MAX_ITEMS:
        raise MalformedModel(f"a set has 1 … {MAX_ITEMS} items, not {len(labels)}")
    if not np.array_equal(inputs.astype(graph.input_type), inputs):
        raise MalformedModel("the inputs are larger than the model's input type")
    for values, label in zip(inputs, labels, strict=True):
        yield values.astype(graph.input_type).tobytes(), int(label)
