"""Layers of a plan as the records of a packed plan (``native/plan_layers.cpp`` reads them)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.cpu import layers as native
from drivers.cpu.blob_format import NOWHERE, LayerKind, Record
from drivers.cpu.blob_sections import Sections
from drivers.cpu.loaded_program import step_line
from drivers.cpu.packing import MethodChoice
from drivers.cpu.placement import Placement, rescale_of, window_of
from drivers.kernels.infer.geometry import as_planes, output_size
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
    Scale,
)
from drivers.kernels.infer.memory import Part
from drivers.program import Step

Words = NDArray[np.int32]


def list_records(
    plan: Plan, placement: Placement, values: dict[int, int], sections: Sections
) -> list[Record]:
    """Of a plan's layers, in their order; what they point to goes into ``sections``. ``values``
    has the place of each tensor among the blob's values."""
    writer = _Writer(plan, placement, values, sections)
    for layer in plan.layers:
        writer.add(layer)
    return writer.records


class _Writer:
    def __init__(
        self, plan: Plan, placement: Placement, values: dict[int, int], sections: Sections
    ) -> None:
        self._plan = plan
        self._placement = placement
        self._values = values
        self._sections = sections
        self._choice = MethodChoice()
        self.records: list[Record] = []

    def add(self, layer: Layer) -> None:
        match layer:
            case Convolution():
                self._add_convolution(layer)
            case Pool():
                self._add_pool(layer)
            case General(step):
                self._add_general(step)
            case Convert(source, target):
                self._add_convert(source, target)
            case Concatenate():
                self._add_copies(layer)
            case Add():
                record = self._forms(LayerKind.ADD, layer.source, layer.target)
                record.forms.residual = self._placement.residual(layer.residual)
                record.other_at = self._placement.places[layer.residual.other]
            case Scale():
                record = self._forms(LayerKind.SCALE, layer.source, layer.target)
                record.forms.rescale = rescale_of(layer.rescale)
                self._keep_factors(record, layer.rescale, layer.target)
            case Lookup():
                record = self._forms(LayerKind.LOOKUP, layer.source, layer.target)
                record.packed_at, record.packed_bytes = self._sections.keep(layer.table), 256

    def _record(self, kind: LayerKind, source: int, target: int) -> Record:
        places = self._placement.places
        record = Record(kind=kind, source_at=places[source], target_at=places[target])
        self.records.append(record)
        return record

    def _forms(self, kind: LayerKind, source: int, target: int) -> Record:
        record = self._record(kind, source, target)
        record.forms.source = self._placement.image(source)
        record.forms.target = self._placement.image(target)
        return record

    def _keep_factors(self, record: Record, rescale: Rescale, target: int) -> None:
        channels = as_planes(self._plan.tensors[target].shape)[1]
        multiplier, offset = _factors(rescale, channels)
        record.multiplier_at, record.offset_at = (
            self._sections.keep(multiplier),
            self._sections.keep(offset),
        )

    def _add_convolution(self, layer: Convolution) -> None:
        record = self._record(LayerKind.CONVOLUTION, layer.source, layer.target)
        form = record.convolution
        form.source = self._placement.image(layer.source)
        form.target = self._target_image(layer, layer.weight.shape[0])
        form.window = window_of(layer.window)
        form.groups = layer.groups
        form.source_low = self._plan.tensors[layer.source].low
        form.source_high = self._plan.tensors[layer.source].high
        multiplier = offset = None
        if layer.rescale is not None:
            form.rescaled, form.rescale = 1, rescale_of(layer.rescale)
            multiplier, offset = _factors(layer.rescale, layer.weight.shape[0])
        if layer.residual is not None:
            form.has_residual = 1
            form.residual = self._placement.residual(layer.residual)
            record.other_at = self._placement.places[layer.residual.other]
        self._pack(record, layer, multiplier, offset)

    def _target_image(self, layer: Convolution | Pool, channels: int) -> native.Image:
        """Of sums too, whose tensor may have another shape of the same order."""
        is_largest = isinstance(layer, Pool) and layer.kind is PoolKind.LARGEST
        if layer.rescale is not None or is_largest:
            return self._placement.image(layer.target)
        shape = as_planes(self._plan.tensors[layer.source].shape)
        rows, columns = output_size(layer.window, shape[2:])
        return native.Image(shape[0], rows, columns, channels, channels, 0)

    def _pack(
        self, record: Record, layer: Convolution, multiplier: Words | None, offset: Words | None
    ) -> None:
        weights = native.Weights(np.ascontiguousarray(layer.weight), layer.bias, multiplier, offset)
        form = record.convolution
        method = self._choice.choose(form, weights)
        record.method = method
        record.packed_bytes = native.packed_bytes(form, method)
        record.packed_at = self._sections.reserve(
            record.packed_bytes, lambda view: weights.pack(form, method, view)
        )

    def _add_pool(self, layer: Pool) -> None:
        record = self._record(LayerKind.POOL, layer.source, layer.target)
        pool = record.pool
        pool.source = self._placement.image(layer.source)
        pool.target = self._target_image(layer, pool.source.channels)
        pool.window = window_of(layer.window)
        pool.largest = int(layer.kind is PoolKind.LARGEST)
        if layer.rescale is not None:
            pool.rescaled, pool.rescale = 1, rescale_of(layer.rescale)
            self._keep_factors(record, layer.rescale, layer.target)

    def _add_convert(self, source: int, target: int) -> None:
        """The BYTES side says the shape. The input is read where the caller has it."""
        is_to_words = self._plan.tensors[target].form is Form.WORDS
        kind = LayerKind.TO_WORDS if is_to_words else LayerKind.TO_BYTES
        record = self._record(kind, source, target)
        image = self._placement.image(source if is_to_words else target)
        record.forms.source = record.forms.target = image
        if source == 0:
            record.source_at = NOWHERE

    def _add_copies(self, layer: Concatenate) -> None:
        """Of the parts that do not lie in the whole already."""
        parts, places = self._placement.parts, self._placement.places
        home = parts.get(layer.target, Part(layer.target, 0))
        channel = 0
        for source in layer.sources:
            size = self._plan.tensors[source].shape[1]
            if parts.get(source) != Part(home.whole, home.channel + channel):
                record = self._forms(LayerKind.COPY, source, layer.target)
                record.target_at = places[layer.target] + channel
                record.forms.target.channels = size
            channel += size

    def _add_general(self, step: Step) -> None:
        """Its text names the blob's values."""
        inputs, outputs = (
            tuple(self._values[number] for number in numbers)
            for numbers in (step.inputs, step.outputs)
        )
        line = step_line(Step(step.op, inputs, outputs, step.attributes))
        text = np.frombuffer(line.encode(), np.uint8)
        record = Record(kind=LayerKind.GENERAL)
        record.packed_at, record.packed_bytes = self._sections.keep(text), text.nbytes
        self.records.append(record)


def _factors(rescale: Rescale, channels: int) -> tuple[Words, Words]:
    return tuple(  # type: ignore[return-value]
        np.ascontiguousarray(np.broadcast_to(each, (channels,)), "<i4")
        for each in (rescale.multiplier, rescale.offset)
    )


def most_records(plan: Plan) -> int:
    """No fewer than a plan's layers take."""
    return sum(len(layer.sources) if isinstance(layer, Concatenate) else 1 for layer in plan.layers)
