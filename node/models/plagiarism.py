"""New models are compared with those before them (whitepaper 2.6).

Each model is fingerprinted once its files are here, and compared with the earlier models that
could be its origin: those of its architecture or with its largest tensors, the nearest sketches
first. What is found is kept, by the later model. All of it is the work of one background thread;
nothing here has a say in consensus.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from node.errors import EngineUnavailable, ModelFault
from node.models.errors import StorageError
from node.models.fingerprint import Fingerprint, fingerprint
from node.models.index import ModelIndex
from node.models.likeness import Kind, Likeness, compare
from node.models.sketch import Sketch
from node.models.storage import Storage
from node.spec.cvm import CvmLoadError, load
from node.store import ChainStore

TABLE = "likeness"
#: Earlier models compared with a new one in full; the nearest sketches.
CANDIDATES_LIMIT = 8
SKETCHES_LIMIT = 64
REPORTED_LIMIT = 8
#: Larger models would take minutes and gigabytes; they are named as not compared.
BYTES_LIMIT = 160 << 20


@dataclass(frozen=True)
class Found:
    """A likeness of a model to an earlier one (infohash, hex)."""

    earlier: str
    likeness: Likeness


class LikenessDesk:
    """Knows every fingerprint and what was found. `advance` does the work, the rest answers."""

    def __init__(self, store: ChainStore, index: ModelIndex, storage: Storage) -> None:
        self._store, self._index, self._storage = store, index, storage
        self._lock = threading.Lock()
        self._closing = False
        self._sketches: dict[bytes, Sketch] = {}
        self._by_key: dict[bytes, list[bytes]] = defaultdict(list)
        self._found: dict[bytes, list[Found]] = {}
        self._refused: dict[bytes, str] = {}
        self._origins: tuple[int, dict[bytes, tuple[int, bytes]]] = (-1, {})
        for key, raw in store.records(TABLE):
            self._restore(key, raw)

    def close(self) -> None:
        """Have the work in hand given up, within a comparison's time; it is done at the next
        start."""
        self._closing = True

    def state(self, infohash: bytes) -> str:
        """Empty where the model is compared; else why it is not."""
        if infohash in self._sketches:
            return ""
        return self._refused.get(infohash, "its files are not compared yet")

    def found(self, infohash: bytes) -> list[Found]:
        """Earlier models that it is a copy of, the likest first."""
        with self._lock:
            return list(self._found.get(infohash, ()))

    def origin(self, infohash: bytes) -> bytes:
        """Address of the earliest model with these very files; empty where there is none."""
        known, first = self._origins
        if known != self._index.changes:
            first = {}
            for entry, meta in self._index.models():
                place = (meta.block_num, entry.address)
                first[meta.hash] = min(place, first.get(meta.hash, place))
            self._origins = (self._index.changes, first)
        return first[infohash][1] if infohash in first else b""

    def advance(self) -> bool:
        """Compare one model whose files have come. False where there is none to do."""
        for _, infohash in () if self._closing else sorted(self._waiting()):
            if self._storage.contains(infohash):
                self._add(infohash)
                return True
        return False

    def compare(self, earlier: bytes, later: bytes) -> Likeness:
        """Two models in full (infohashes). Raises `EngineUnavailable` or `ModelFault`."""
        return compare(self._fingerprint(earlier), self._fingerprint(later))

    def _waiting(self) -> Iterable[tuple[int, bytes]]:
        for _, meta in self._index.models():
            if meta.hash not in self._sketches and meta.hash not in self._refused:
                yield meta.block_num, meta.hash

    def _add(self, infohash: bytes) -> None:
        try:
            made = self._fingerprint(infohash)
        except EngineUnavailable:
            return  # its files went again, or are damaged; they may come back
        except ModelFault as error:
            self._refused[infohash] = str(error)
            return
        sketch = Sketch.of(made)
        for other in self._candidates(sketch):
            if self._closing:
                return
            self._compare_with(infohash, made, other)
        self._store.change(lambda records: records.put(TABLE, infohash, sketch.encode()))
        self._remember(infohash, sketch)

    def _compare_with(self, infohash: bytes, made: Fingerprint, other: bytes) -> None:
        try:
            theirs = self._fingerprint(other)
        except (EngineUnavailable, ModelFault):
            return  # its files are gone; its sketch says too little
        earlier, later = sorted((infohash, other), key=self._place)
        pair = (made, theirs) if earlier == infohash else (theirs, made)
        likeness = compare(*pair)
        if likeness.is_copy:
            self._report(later, Found(earlier.hex(), likeness))

    def _place(self, infohash: bytes) -> tuple[int, bytes]:
        """Where it came first; a model that left the chain with a branch stands behind."""
        self.origin(infohash)
        return self._origins[1].get(infohash, (2**63, infohash))

    def _report(self, later: bytes, found: Found) -> None:
        with self._lock:
            known = [*self._found.get(later, ()), found]
            known.sort(key=lambda each: each.likeness.cosine, reverse=True)
            self._found[later] = known[:REPORTED_LIMIT]
            raw = json.dumps([asdict(each) for each in self._found[later]]).encode()
        self._store.change(lambda records: records.put(TABLE, b"found" + later, raw))

    def _candidates(self, sketch: Sketch) -> list[bytes]:
        met = {
            infohash: None
            for key in sketch.meeting_points()
            for infohash in self._by_key.get(key, ())
        }
        near = list(met)[-SKETCHES_LIMIT:] if len(met) > SKETCHES_LIMIT else list(met)
        near.sort(key=lambda infohash: self._sketches[infohash].distance(sketch))
        return near[:CANDIDATES_LIMIT]

    def _fingerprint(self, infohash: bytes) -> Fingerprint:
        # Not through the cache of models, which is for those that contracts ask for.
        try:
            symbol, parameters = self._storage.read_model(infohash)
        except StorageError as error:
            raise EngineUnavailable(str(error)) from error
        size = len(symbol) + len(parameters)
        if size > BYTES_LIMIT:
            raise ModelFault(f"{size} bytes are too many to be compared", logic=False)
        try:
            return fingerprint(load(symbol, parameters, extended=True))
        except CvmLoadError as error:
            raise ModelFault(f"model {infohash.hex()}: {error}", logic=False) from error

    def _remember(self, infohash: bytes, sketch: Sketch) -> None:
        self._sketches[infohash] = sketch
        for key in sketch.meeting_points():
            self._by_key[key].append(infohash)

    def _restore(self, key: bytes, raw: bytes) -> None:
        if not key.startswith(b"found"):
            self._remember(key, Sketch.decode(raw))
            return
        self._found[key[5:]] = [
            Found(each["earlier"], Likeness(**{**each["likeness"], "kind": _kind(each)}))
            for each in json.loads(raw)
        ]


def _kind(found: dict[str, dict[str, str]]) -> Kind:
    return Kind(found["likeness"]["kind"])
