"""Lays a plan out for a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from drivers.errors import NotSupported, OutOfMemory
from drivers.kernels.gpu.infer import finishing, layout
from drivers.kernels.gpu.infer.convolutions import (
    fill_image,
    launch_convolution,
    launch_planes,
    partial_bytes,
)
from drivers.kernels.gpu.infer.finishing import address, single
from drivers.kernels.gpu.infer.memory import ALIGNMENT, View, lay_out, padded
from drivers.kernels.gpu.infer.schedule import (
    ARENA,
    CONSTANTS,
    HostWork,
    Launch,
    Part,
    Place,
    Record,
    Schedule,
    pointer,
)
from drivers.kernels.gpu.infer.target import InferGpu
from drivers.kernels.infer.geometry import as_planes
from drivers.kernels.infer.layers import (
    Add,
    Concatenate,
    Convert,
    Convolution,
    Form,
    General,
    Layer,
    Lookup,
    Plan,
    Pool,
    PoolKind,
    Rescale,
    Residual,
    Scale,
)
from drivers.program import Step


def schedule(plan: Plan, gpu: InferGpu) -> Schedule:
    """Raises `NotSupported` for what no kernel does, and `OutOfMemory`."""
    found = _Scheduler(plan, gpu).run()
    needed = found.constants.nbytes + found.arena_bytes
    if needed > gpu.memory_bytes:
        raise OutOfMemory(
            f"the model needs {needed >> 20} MiB on the GPU, and {gpu.memory_bytes >> 20} MiB "
            "may be used; allow more"
        )
    return found


class _Constants:
    """Arrays one after another; equal ones are kept once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self._size = 0

    def keep(self, array: NDArray[Any]) -> int:
        content = np.ascontiguousarray(array).tobytes()
        if content not in self._known:
            self._known[content] = self._size
            filled = padded(len(content), ALIGNMENT)
            self._pieces.append(content.ljust(filled, b"\0"))
            self._size += filled
        return pointer(CONSTANTS, self._known[content])

    def join(self) -> NDArray[np.uint8]:
        return np.frombuffer(b"".join(self._pieces), np.uint8)


class _Scheduler:
    def __init__(self, plan: Plan, gpu: InferGpu) -> None:
        self.plan, self.gpu = plan, gpu
        self.constants = _Constants()
        self.memory = lay_out(plan)
        self.views = self.memory.views

    def run(self) -> Schedule:
        parts = self._list_parts()
        launches = [part for part in parts if isinstance(part, Launch)]
        zero_bytes = self._place_splits(launches)
        return Schedule(
            self.constants.join(),
            self.memory.arena_bytes + zero_bytes,
            zero_bytes,
            tuple(parts),
            self._place(0),
            tuple(self._place(head) for head in self.plan.heads),
        )

    def _place_splits(self, launches: Sequence[Launch]) -> int:
        """Sums and tickets of all splits lie behind the tensors, one launch's after another's
        use. Returns their bytes."""
        needs = [partial_bytes(launch) for launch in launches]
        sums = padded(max((need[0] for need in needs), default=0), ALIGNMENT)
        begin = self.memory.arena_bytes
        for launch, (needed, _) in zip(launches, needs, strict=True):
            if needed:
                launch.record["partial"] = pointer(ARENA, begin)
                launch.record["tickets"] = pointer(ARENA, begin + sums)
        return sums + max((need[1] for need in needs), default=0)

    def _place(self, tensor: int) -> Place:
        if tensor not in self.views:
            raise NotSupported(f"tensor {tensor} of the plan is nowhere on the GPU")
        return Place(tensor, self.views[tensor].offset, self.plan.tensors[tensor].shape)

    def _list_parts(self) -> list[Part]:
        parts: list[Part] = []
        waiting: list[Step] = []
        for index, layer in enumerate(self.plan.layers):
            if isinstance(layer, General):
                waiting.append(layer.step)
                continue
            if waiting:
                parts.append(self._host_work(waiting, index))
                waiting = []
            parts += self._launches(layer)
        if waiting:
            parts.append(self._host_work(waiting, len(self.plan.layers)))
        return parts

    def _host_work(self, steps: list[Step], end: int) -> HostWork:
        """``end``: the first layer after the steps."""
        made = {number for step in steps for number in step.outputs}
        read = {number for step in steps for number in step.inputs} - set(self.plan.constants)
        later = set(self.plan.heads)
        for layer in self.plan.layers[end:]:
            later |= set(layer.step.inputs if isinstance(layer, General) else _words_of(layer))
        return HostWork(
            tuple(steps),
            tuple(map(self._place, sorted(read - made))),
            tuple(map(self._place, sorted(made & later))),
        )

    def _launches(self, layer: Layer) -> list[Launch]:
        match layer:
            case Convolution():
                arguments = (self.plan, self.views, layer, self.gpu, self.constants.keep)
                return launch_convolution(*arguments)
            case Pool():
                return [self._pool(layer)]
            case Add(source, target, residual):
                return [self._map(source, target, residual=residual)]
            case Scale(source, target, rescale):
                return [self._map(source, target, rescale=rescale)]
            case Lookup(source, target, table):
                return [self._map(source, target, table=table)]
            case Concatenate():
                return self._concatenate(layer)
            case Convert():
                return [self._convert(layer)]
            case General():
                raise NotSupported("general steps are the host's")
        assert_never(layer)

    def _pool(self, layer: Pool) -> Launch:
        record: Record = np.zeros(1, layout.POOLING)
        view, tensor = self.views[layer.source], self.plan.tensors[layer.source]
        window, channels = layer.window, as_planes(tensor.shape)[1]
        pixels = fill_image(record["image"], self.plan, view, layer.source, layer.target, window)
        finishing.fill_target(record["finish"], self.plan, self.views, layer.target)
        rescale = layer.rescale
        finishing.fill_rescale(record["finish"], rescale, single(channels), self.constants.keep)
        record["source"] = address(view)
        record["rows"], record["columns"] = window.size
        record["dilation_y"], record["dilation_x"] = window.dilation
        record["zero"], record["largest"] = tensor.zero, layer.kind is PoolKind.LARGEST
        return launch_planes("pooling", record, pixels, channels)

    def _map(
        self,
        source: int,
        target: int,
        rescale: Rescale | None = None,
        residual: Residual | None = None,
        table: NDArray[np.uint8] | None = None,
        part: View | None = None,
    ) -> Launch:
        """``part``: where in the target the bytes go, where that is not all of it."""
        record: Record = np.zeros(1, layout.MAPPING)
        tensor, finish = self.plan.tensors[source], record["finish"]
        views = self.views if part is None else {**self.views, target: part}
        n, channels, height, width = as_planes(tensor.shape)
        finishing.fill_target(finish, self.plan, views, target)
        finish["channels"] = channels
        finishing.fill_rescale(finish, rescale, single(channels), self.constants.keep)
        finishing.fill_residual(finish, self.plan, views, residual)
        record["source"], record["stride"] = address(views[source]), views[source].stride
        record["pixels"], record["zero"] = n * height * width, tensor.zero
        if table is not None:
            record["table"] = self.constants.keep(table)
            record["zero"] = finish["target_zero"]
        return launch_planes("mapping", record, n * height * width, channels)

    def _concatenate(self, layer: Concatenate) -> list[Launch]:
        """Copies of those parts that were not written in place."""
        whole, launches = self.views[layer.target], list[Launch]()
        channel = whole.channel
        for source in layer.sources:
            part = View(whole.offset, whole.stride, channel)
            if self.views[source] != part:
                launches.append(self._map(source, layer.target, part=part))
            channel += as_planes(self.plan.tensors[source].shape)[1]
        return launches

    def _convert(self, layer: Convert) -> Launch:
        to_bytes = self.plan.tensors[layer.target].form is Form.BYTES
        byte, word = (layer.target, layer.source) if to_bytes else (layer.source, layer.target)
        tensor, view = self.plan.tensors[byte], self.views[byte]
        n, channels, height, width = as_planes(tensor.shape)
        record: Record = np.zeros(1, layout.CONVERSION)
        record["bytes"] = address(view)
        record["words"] = pointer(ARENA, self._place(word).offset)
        record["images"], record["plane"] = n, height * width
        record["channels"], record["stride"] = channels, view.stride
        record["zero"] = tensor.zero
        kernel = "to_bytes" if to_bytes else "to_words"
        return launch_planes(kernel, record, n * height * width, channels)


def _words_of(layer: Layer) -> tuple[int, ...]:
    """Words that a layer with a kernel reads."""
    return (layer.source,) if isinstance(layer, Convert) else ()
