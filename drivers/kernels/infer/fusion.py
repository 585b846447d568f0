"""From a program to a plan: steps joined into the layers that kernels compute.

Steps are read in order. A value that only elements' steps follow stays a `Recipe` and costs
nothing until somebody needs it; then its whole chain goes into the layer that makes its root. A
value with several readers is stored once, as bytes where they hold it.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from drivers.kernels.infer.bounds import prove
from drivers.kernels.infer.builder import Builder
from drivers.kernels.infer.checking import check_program
from drivers.kernels.infer.elementwise import read_elementwise
from drivers.kernels.infer.geometry import Shape, has_planes, same_planes
from drivers.kernels.infer.layers import General, Plan, Words
from drivers.kernels.infer.primitives import Chain, is_uniform
from drivers.kernels.infer.pruning import drop_unread
from drivers.kernels.infer.recipes import Recipe, Stored, Totals, Weighted
from drivers.kernels.infer.roots import READERS
from drivers.program import Program, Step

_MOST_CHAINED = 32
_VIEWS = frozenset({"flatten", "reshape", "squeeze", "expand_dims"})


def fuse(program: Program) -> Plan:
    """The plan of a program.

    Raises:
        NotSupported: the program cannot be proved to stay within 32 bits.
        BadArgument: a step's attributes make no sense.
    """
    return Fusion(program).fuse()


class Fusion:
    """What is known of a program's values while its steps are read."""

    def __init__(self, program: Program) -> None:
        check_program(program)
        self.program = program
        self.bounds = prove(program)
        self.builder = Builder()
        self.recipes: dict[int, Recipe] = {}
        self.makers = {number: step for step in program.steps for number in step.outputs}
        self.readers = Counter(number for step in program.steps for number in step.inputs)
        self.readers.update(program.heads)
        self._bytes: dict[int, int | None] = {}
        self._words: dict[int, int] = {}
        self._constants: dict[int, Words] = {}

    def fuse(self) -> Plan:
        self._words[0] = self.builder.add_words(self.program.shapes[0], self.bounds[0])
        for step in self.program.steps:
            recipe = self._read(step)
            if recipe is None:
                self._run_generally(step)
            else:
                self.recipes[step.outputs[0]] = recipe
        heads = tuple(self.words(number) for number in self.program.heads)
        builder = self.builder
        whole = Plan(tuple(builder.tensors), self._constants, tuple(builder.layers), heads)
        return drop_unread(whole)

    # --- reading steps

    def _read(self, step: Step) -> Recipe | None:
        """None for what only a general step can do, or refuse."""
        if step.op in _VIEWS and step.inputs[0] not in self.program.parameters:
            return self._view(step)
        if elementwise := read_elementwise(self.program, step):
            shapes = self.program.shapes
            if shapes[elementwise.source] != shapes[step.outputs[0]]:
                return None
            return self._extend(elementwise.source, elementwise.chain)
        reader = READERS.get(step.op)
        return reader(self, step) if reader else None

    def _view(self, step: Step) -> Recipe | None:
        before, after = (self.program.shapes[each] for each in (step.inputs[0], step.outputs[0]))
        recipe = self.recipe_of(step.inputs[0]) if prod(before) == prod(after) else None
        return recipe and recipe.then(())

    def _extend(self, source: int, chain: Chain) -> Recipe | None:
        recipe = self.recipe_of(source)
        if recipe is None:
            return None
        if not is_uniform(chain) and not self._has_channels(recipe, source):
            return None
        return recipe.then(chain)

    def _has_channels(self, recipe: Recipe, number: int) -> bool:
        """Whether the value's channels are its root's."""
        shape = self.program.shapes[number]
        return has_planes(shape) and same_planes(recipe.shape, shape)

    def recipe_of(self, number: int) -> Recipe | None:
        """How a value may be taken further: its own recipe, or what is stored of it."""
        recipe = self.recipes.get(number)
        if recipe and self.readers[number] == 1 and recipe.depth < _MOST_CHAINED:
            return recipe
        stored = self.stored(number)
        if stored is not None:
            return self.builder.recipe_of(stored)
        is_cheap = recipe and isinstance(recipe.root, Stored) and recipe.depth < _MOST_CHAINED
        return recipe if is_cheap else None

    # --- values in memory

    def stored(self, number: int) -> int | None:
        """A BYTES tensor of a value, in its recipe's shape; None if bytes do not hold it."""
        if number not in self._bytes:
            self._bytes[number] = self._store(number)
        return self._bytes[number]

    def _store(self, number: int) -> int | None:
        if number in self.program.parameters or not self.bounds[number].fits_bytes:
            return None
        recipe = self.recipes.get(number)
        if recipe and (tensor := self.builder.store(recipe)) is not None:
            return tensor
        shape = self.program.shapes[number]
        if not has_planes(shape):
            return None
        return self.builder.to_bytes(self._general_words(number), self.bounds[number], shape)

    def stored_exactly(self, number: int) -> int | None:
        """A BYTES tensor of a value in the value's own shape."""
        stored = self.stored(number)
        shape = self.program.shapes[number]
        if stored is None or not has_planes(shape):
            return None
        if same_planes(self.builder.tensors[stored].shape, shape):
            return stored
        return self.builder.to_bytes(self.words(number), self.bounds[number], shape)

    def words(self, number: int) -> int:
        """A WORDS tensor of a value."""
        if number not in self._words:
            self._words[number] = self._find_words(number)
        return self._words[number]

    def _find_words(self, number: int) -> int:
        shape = self.program.shapes[number]
        if number in self.program.parameters:
            return self._add_constant(number, shape)
        if number in self.recipes and (stored := self.stored(number)) is not None:
            return self.builder.to_words(stored, shape)
        return self._general_words(number)

    def _add_constant(self, number: int, shape: Shape) -> int:
        tensor = self.builder.add_words(shape, self.bounds[number])
        self._constants[tensor] = self.program.parameters[number]
        return tensor

    def _general_words(self, number: int) -> int:
        """A value as WORDS, by its step alone."""
        if number not in self._words:
            recipe = self.recipes.get(number)
            root = recipe.root if recipe else None
            shape = self.program.shapes[number]
            plain = recipe and not recipe.chain and same_planes(recipe.shape, shape)
            if plain and isinstance(root, Weighted | Totals):
                self._words[number] = self.builder.sums(root, shape, self.bounds[number])
            else:
                self._run_generally(self.makers[number])
        return self._words[number]

    def _run_generally(self, step: Step) -> None:
        inputs = tuple(self.words(number) for number in step.inputs)
        outputs = tuple(self._output(number) for number in step.outputs)
        self.builder.layers.append(General(Step(step.op, inputs, outputs, step.attributes)))

    def _output(self, number: int) -> int:
        if number not in self._words:
            shape, bounds = self.program.shapes[number], self.bounds[number]
            self._words[number] = self.builder.add_words(shape, bounds)
        return self._words[number]
