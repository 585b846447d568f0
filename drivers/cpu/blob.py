"""A plan packed for this processor: one file that runs as it lies (``native/plan_format.hpp``)."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from drivers.cpu import layers as native
from drivers.cpu import library
from drivers.cpu.blob_format import MAGIC, NOWHERE, VERSION, Header, LayerKind, Record, Value
from drivers.cpu.packing import MethodChoice, Weights, packed_bytes
from drivers.cpu.placement import Placement, place, rescale_of, window_of
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

Bytes = NDArray[np.uint8]
Words = NDArray[np.int32]


@dataclass(frozen=True)
class Identity:
    """Whose plan a blob is: digests of 32 bytes."""

    model: bytes
    program: bytes


@dataclass(frozen=True)
class _Piece:
    """Bytes of the blob that are written once it is laid out."""

    at: int
    size: int
    write: Callable[[Bytes], None]


def write_blob(plan: Plan, identity: Identity, open_file: BinaryIO | None = None) -> mmap.mmap:
    """Pack a plan into a file, or into memory where none is given. The map is the blob; for a
    file it is to be flushed and closed by the caller."""
    return _Packer(plan, identity).write(open_file)


def workspace_bytes(blob: mmap.mmap) -> int:
    """What a blob's activations take."""
    return int(Header.from_buffer_copy(blob).workspace_bytes)


class _Packer:
    def __init__(self, plan: Plan, identity: Identity) -> None:
        self._plan = plan
        self._identity = identity
        self._placement: Placement = place(plan)
        self._choice = MethodChoice()
        self._pieces: list[_Piece] = []
        self._records: list[Record] = []
        self._values = {number: index for index, number in enumerate(_values_of(plan))}
        head = ctypes.sizeof(Header) + len(self._values) * ctypes.sizeof(Value)
        self._layers_at = _align(head)
        most = sum(_records_of(layer) for layer in plan.layers)
        self._heads_at = self._layers_at + most * ctypes.sizeof(Record)
        self._end = self._heads_at + 4 * len(plan.heads)

    def write(self, open_file: BinaryIO | None) -> mmap.mmap:
        for layer in self._plan.layers:
            self._add_layer(layer)
        constants = [self._describe_value(number) for number in self._values]
        size = _align(self._end)
        if open_file is not None:
            open_file.truncate(size)
        blob = mmap.mmap(open_file.fileno() if open_file else -1, size)
        view = np.frombuffer(blob, np.uint8)
        for piece in self._pieces:
            piece.write(view[piece.at : piece.at + piece.size])
        self._write_records(view, constants)
        return blob

    def _write_records(self, view: Bytes, values: Iterable[Value]) -> None:
        _put(view, ctypes.sizeof(Header), b"".join(map(bytes, values)))
        _put(view, self._layers_at, b"".join(map(bytes, self._records)))
        heads = [self._values[head] for head in self._plan.heads]
        _put(view, self._heads_at, np.array(heads, "<u4").tobytes())
        header = Header(
            magic=MAGIC,
            version=VERSION,
            header_bytes=ctypes.sizeof(Header),
            bytes=view.size,
            isa=native.isa().encode(),
            workspace_bytes=self._placement.total_bytes,
            values=len(self._values),
            layers=len(self._records),
            heads=len(heads),
            values_at=ctypes.sizeof(Header),
            layers_at=self._layers_at,
            heads_at=self._heads_at,
        )
        header.model[:], header.program[:] = self._identity.model, self._identity.program
        _put(view, 0, bytes(header))
        checksum = Header.checksum
        behind = view[checksum.offset + checksum.size :]
        header.checksum = library.load().farmcpu_plan_checksum(behind.ctypes.data, behind.size)
        _put(view, 0, bytes(header))

    # --- bytes behind the records

    def _reserve(self, size: int, write: Callable[[Bytes], None]) -> int:
        at = _align(self._end)
        self._pieces.append(_Piece(at, size, write))
        self._end = at + size
        return at

    def _keep(self, array: NDArray[np.generic]) -> int:
        content = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        return self._reserve(content.size, lambda view: np.copyto(view, content))

    def _describe_value(self, number: int) -> Value:
        shape = self._plan.tensors[number].shape
        constant = self._plan.constants.get(number)
        at = (
            self._placement.places[number]
            if constant is None
            else self._keep(constant.astype("<i4"))
        )
        padded = (*shape, *[0] * (6 - len(shape)))
        return Value(len(shape), int(constant is not None), padded, at, 32)

    # --- layers

    def _add_layer(self, layer: Layer) -> None:
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
                record.packed_at, record.packed_bytes = self._keep(layer.table), 256

    def _record(self, kind: LayerKind, source: int, target: int) -> Record:
        places = self._placement.places
        record = Record(kind=kind, source_at=places[source], target_at=places[target])
        self._records.append(record)
        return record

    def _forms(self, kind: LayerKind, source: int, target: int) -> Record:
        record = self._record(kind, source, target)
        record.forms.source = self._placement.image(source)
        record.forms.target = self._placement.image(target)
        return record

    def _keep_factors(self, record: Record, rescale: Rescale, target: int) -> None:
        channels = as_planes(self._plan.tensors[target].shape)[1]
        multiplier, offset = _factors(rescale, channels)
        record.multiplier_at, record.offset_at = self._keep(multiplier), self._keep(offset)

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
        weights = Weights(np.ascontiguousarray(layer.weight), layer.bias, multiplier, offset)
        form = record.convolution
        method = self._choice.choose(form, weights)
        record.method = method
        record.packed_bytes = packed_bytes(form, method)
        record.packed_at = self._reserve(
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
        record = Record(kind=LayerKind.GENERAL)
        words = np.array(list(_step_words(step, self._values)), "<i4")
        record.packed_at, record.packed_bytes = self._keep(words), words.nbytes
        self._records.append(record)


def _factors(rescale: Rescale, channels: int) -> tuple[Words, Words]:
    return tuple(  # type: ignore[return-value]
        np.ascontiguousarray(np.broadcast_to(each, (channels,)), "<i4")
        for each in (rescale.multiplier, rescale.offset)
    )


def _records_of(layer: Layer) -> int:
    return len(layer.sources) if isinstance(layer, Concatenate) else 1


def _values_of(plan: Plan) -> tuple[int, ...]:
    """Tensors that the native code knows by number: the input, and those of general steps and
    heads."""
    used = {0, *plan.heads, *plan.constants}
    for layer in plan.layers:
        if isinstance(layer, General):
            used.update(layer.step.inputs, layer.step.outputs)
    return tuple(sorted(used))


def _step_words(step: Step, values: dict[int, int]) -> Iterable[int]:
    yield from _name_words(step.op)
    for numbers in (step.inputs, step.outputs):
        yield len(numbers)
        yield from (values[number] for number in numbers)
    yield len(step.attributes)
    for name, attribute in step.attributes.items():
        yield from _name_words(name)
        numbers = attribute if isinstance(attribute, tuple) else (int(attribute),)
        yield len(numbers)
        yield from numbers


def _name_words(name: str) -> Iterable[int]:
    """The count of characters, and they, 4 to a word."""
    content = name.encode()
    yield len(content)
    yield from np.frombuffer(content.ljust(-(-len(content) // 4) * 4, b"\0"), "<i4").tolist()


def _put(view: Bytes, at: int, content: bytes) -> None:
    view[at : at + len(content)] = np.frombuffer(content, np.uint8)


def _align(size: int) -> int:
    return -(-size // native.ALIGNMENT) * native.ALIGNMENT
