"""A loaded model: its graph with every shape, precision and cost proved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from node.spec.cvm.attributes import Attributes, parse_attributes
from node.spec.cvm.errors import CvmLoadError, require, require_form
from node.spec.cvm.operators import operators_of
from node.spec.cvm.operators.operator import Array, Operator, Shape
from node.spec.cvm.symbol import (
    DATA,
    EXTENDED_VERSION,
    UNKNOWN_PRECISION,
    VERSIONS,
    Reference,
    Symbol,
    SymbolNode,
    parse_symbol,
)

_OPERATIONS_LIMIT, _BASE_LIMIT = 1 << 40, 1 << 30
_STORAGE_BYTES_LIMIT = 1 << 32
_WORD_BYTES = 4
_KERNEL_TYPES = {1: "<i1", 4: "<i4"}

#: Operations charged for each element that a value takes in memory.
_MEMORY_COST = 5


@dataclass(frozen=True)
class Step:
    """One operator at work. Inputs and outputs are entries (indices of `Graph.shapes`)."""

    name: str
    operator: Operator
    attributes: Attributes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A model. ``variables`` maps the name of each input or parameter to its entry;
    ``parameters`` holds the constant values by entry (empty until they are loaded)."""

    steps: tuple[Step, ...]
    variables: dict[str, int]
    parameters: dict[int, Array]
    heads: tuple[int, ...]
    shapes: tuple[Shape, ...]
    precisions: tuple[int, ...]
    storage_ids: tuple[int, ...]
    postprocess: str
    version: str

    @property
    def input_entry(self) -> int:
        return self.variables[DATA]

    @property
    def input_shape(self) -> Shape:
        return self.shapes[self.input_entry]

    @property
    def input_type_bytes(self) -> int:
        """Bytes of an input element at the seam: 1 or 4."""
        return 4 if self.precisions[self.input_entry] > 8 else 1

    @property
    def input_type(self) -> str:
        """numpy's name of an input element in kernel form."""
        return _KERNEL_TYPES[self.input_type_bytes]

    @property
    def input_bytes(self) -> int:
        return prod(self.input_shape) * self.input_type_bytes

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        return tuple(self.shapes[head] for head in self.heads)

    @property
    def output_type_bytes(self) -> int:
        """Bytes of an output element at the seam: 1 or 4."""
        if self.postprocess in ("argmax", "detection"):
            return 4
        return 4 if max(self.precisions[head] for head in self.heads) > 8 else 1

    @property
    def output_type(self) -> str:
        """numpy's name of an output element in kernel form."""
        return _KERNEL_TYPES[self.output_type_bytes]

    @property
    def output_bytes(self) -> int:
        return self._count_outputs() * self.output_type_bytes

    def _count_outputs(self) -> int:
        shapes = self.output_shapes
        if self.postprocess == "argmax":
            return sum(prod(shape[:-1]) for shape in shapes)
        if self.postprocess == "detection":
            rows = shapes[0][-2] if len(shapes[0]) > 1 else 0
            return rows * sum(shape[-1] for shape in shapes)
        return sum(prod(shape) for shape in shapes)

    def operations(self) -> int:
        """Operations of one inference, the base of its gas.

        Raises CvmLoadError where they pass the limit.
        """
        work = 0
        memory = _MEMORY_COST * sum(prod(shape) for shape in self.shapes)
        for step in self.steps:
            work += self.step_operations(step)
            require(work <= _OPERATIONS_LIMIT, f"more than {_OPERATIONS_LIMIT} operations")
        require(memory <= _OPERATIONS_LIMIT, f"memory costs more than {_OPERATIONS_LIMIT}")
        return memory + work

    def step_operations(self, step: Step) -> int:
        """Operations of one step, without memory. Raises CvmLoadError as `operations`."""
        inputs = [self.shapes[entry] for entry in step.inputs]
        outputs = [self.shapes[entry] for entry in step.outputs]
        base = step.operator.cost(step.attributes, inputs, outputs)
        require(base <= _BASE_LIMIT, f"{step.name}: more than {_BASE_LIMIT} operations an element")
        return base * prod(outputs[0])

    def storage_sizes(self) -> dict[int, int]:
        """Elements of each storage, by storage id."""
        sizes: dict[int, int] = {}
        for number, shape in zip(self.storage_ids, self.shapes, strict=True):
            sizes[number] = max(sizes.get(number, 0), prod(shape))
        return sizes

    def storage_bytes(self) -> int:
        """Memory that the storage plan takes."""
        return sum(self.storage_sizes().values()) * _WORD_BYTES

    def with_parameters(self, parameters: dict[int, Array]) -> Graph:
        return replace(self, parameters=parameters)


def load_graph(symbol: bytes, *, extended: bool = False) -> Graph:
    """Read a symbol and prove its shapes and precisions, without parameters.

    ``extended`` allows the extension form.

    Raises:
        CvmLoadError: the symbol is malformed or breaks a rule; the message names it.
    """
    return _Loader(parse_symbol(symbol, extended=extended)).load()


class _Loader:
    """Walks the nodes once, in order."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.operators = operators_of(extended=symbol.version == EXTENDED_VERSION)
        self.starts: list[int] = []
        self.steps: list[Step] = []
        self.variables: dict[str, int] = {}
        self.arguments: list[int] = []
        self.precisions = list(symbol.precisions)

    def load(self) -> Graph:
        specifications = [self._specify(node) for node in self.symbol.nodes]
        self._number_entries(specifications)
        self._check_lists()
        for index, (node, found) in enumerate(zip(self.symbol.nodes, specifications, strict=True)):
            self._add(index, node, found)
        self._check_version()
        self._infer_shapes()
        self._infer_precisions()
        return self._finish()

    def _specify(self, node: SymbolNode) -> tuple[Operator, Attributes] | None:
        if node.is_variable:
            return None
        operator = self.operators.get(node.operator)
        if operator is None:
            raise CvmLoadError(f"{node.name}: no operator {node.operator[:60]!r}", logic=False)
        attributes = parse_attributes(operator.name, operator.fields, node.attributes)
        wanted = operator.count_inputs(attributes, len(node.inputs))
        require(
            len(node.inputs) == wanted and wanted > 0,
            f"{node.name}: {operator.name} takes {max(wanted, 1)} inputs, not {len(node.inputs)}",
        )
        return operator, attributes

    def _number_entries(self, specifications: Sequence[tuple[Operator, Attributes] | None]) -> None:
        count = 0
        for found in specifications:
            self.starts.append(count)
            count += found[0].output_count if found else 1
        self.starts.append(count)

    def _check_lists(self) -> None:
        count = self.starts[-1]
        for name, items in (
            ("shape", self.symbol.shapes),
            ("storage_id", self.symbol.storage_ids),
            ("precision", self.symbol.precisions),
        ):
            require(len(items) == count, f"attrs {name} has {len(items)} items, not {count}")

    def _entry(self, reference: Reference, before: int, where: str) -> int:
        require(reference.node < len(self.symbol.nodes), f"{where}: no node {reference.node}")
        entry = self.starts[reference.node] + reference.index
        require(entry < before, f"{where}: entry {entry} is not before {before}")
        return entry

    def _add(self, index: int, node: SymbolNode, found: tuple[Operator, Attributes] | None) -> None:
        start, end = self.starts[index : index + 2]
        inputs = tuple(self._entry(item, start, node.name) for item in node.inputs)
        if found is None:
            self.variables[node.name] = start
            self.arguments.append(index)
            return
        step = Step(node.name, *found, inputs, tuple(range(start, end)))
        self._check_storage(step)
        self.steps.append(step)

    def _check_storage(self, step: Step) -> None:
        """Only in-place operators may write where they read."""
        ids = self.symbol.storage_ids
        shared = {ids[e] for e in step.inputs} & {ids[e] for e in step.outputs}
        require(
            step.operator.in_place or not shared,
            f"{step.name}: {step.operator.name} shares the storage {sorted(shared)} with its input",
        )

    def _check_version(self) -> None:
        """All versions but 1.1.0 repeat what is known; they must repeat it rightly."""
        if self.symbol.version == VERSIONS[1]:
            return
        types = self.symbol.types
        require(len(types) == self.starts[-1], f"attrs dltype has {len(types)} items")
        require(set(types) <= {"int32"}, "attrs dltype has a type other than int32")
        require(self.symbol.row_pointers == tuple(self.starts), "node_row_ptr is wrong")
        require(self.symbol.argument_nodes == tuple(self.arguments), "arg_nodes is wrong")

    def _infer_shapes(self) -> None:
        shapes = self.symbol.shapes
        for step in self.steps:
            inferred = step.operator.infer_shapes(
                step.attributes, [shapes[entry] for entry in step.inputs]
            )
            for entry, shape in zip(step.outputs, inferred, strict=True):
                require(
                    shapes[entry] == tuple(shape),
                    f"{step.name}: its shape is {tuple(shape)}, not {shapes[entry]}",
                )

    def _infer_precisions(self) -> None:
        for name, entry in self.variables.items():
            require(self.precisions[entry] != UNKNOWN_PRECISION, f"{name} has no precision")
        shapes = self.symbol.shapes
        for step in self.steps:
            inferred = step.operator.infer_precisions(
                step.attributes,
                [shapes[entry] for entry in step.inputs],
                [shapes[entry] for entry in step.outputs],
                [self.precisions[entry] for entry in step.inputs],
            )
            for entry, precision in zip(step.outputs, inferred, strict=True):
                require(0 < precision <= 32, f"{step.name}: precision {precision} is not 1…32")
                self.precisions[entry] = precision

    def _finish(self) -> Graph:
        heads = tuple(self._entry(head, self.starts[-1], "heads") for head in self.symbol.heads)
        require(bool(heads), "the graph has no heads")
        graph = Graph(
            steps=tuple(self.steps),
            variables=self.variables,
            parameters={},
            heads=heads,
            shapes=self.symbol.shapes,
            precisions=tuple(self.precisions),
            storage_ids=self.symbol.storage_ids,
            postprocess=self.symbol.postprocess,
            version=self.symbol.version,
        )
        require(
            graph.storage_bytes() <= _STORAGE_BYTES_LIMIT,
            f"the storage plan takes more than {_STORAGE_BYTES_LIMIT} bytes",
        )
        self._check_input(graph)
        return graph

    def _check_input(self, graph: Graph) -> None:
        """The official runtime looks the input's shape up by its place among the variables."""
        place = list(self.variables).index(DATA)
        require_form(
            graph.shapes[place] == graph.input_shape, f"{DATA!r} does not stand first in the graph"
        )
