"""Scores of models by third parties (whitepaper 2.4).

A score is a statement signed by an account of the chain, as any wallet signs a text (EIP-191):
this account found this value of this metric for this model, on this test set. An account has one
score a model and metric; one with a higher ``issue`` takes its place. The node keeps scores, and
judges signature and bounds, never the value: whom to believe is the reader's choice.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from node.errors import ScoreRefused
from node.spec import rlp
from node.spec.crypto import keccak, recover_address, sign_digest
from node.store import ChainStore

TABLE = "scores"
MICRO = 10**6
#: Of one model and metric; and of all.
SCORERS_LIMIT, SCORES_LIMIT = 200, 50_000
ISSUE_LIMIT = 2**32
SPEED_LIMIT = 10**9


class Metric(StrEnum):
    ACCURACY = "accuracy"
    """Share of right answers, 0 … 1."""
    RECALL = "recall"
    """Share of what was to be found that was found, 0 … 1."""
    SPEED = "speed"
    """Inferences a second on the scorer's machine."""


@dataclass(frozen=True)
class Statement:
    """What a scorer signs."""

    chain_id: int
    model: bytes
    """Address of the model, 20 bytes."""
    metric: Metric
    value_micro: int
    """Millionths."""
    test_set: bytes
    """Infohash of the test set, 20 bytes."""
    issue: int
    """Grows with each new score by this account for this model and metric."""

    @property
    def value(self) -> Decimal:
        return Decimal(self.value_micro) / MICRO

    def text(self) -> str:
        """What a wallet shows before it signs."""
        return (
            "Score of a model\n"
            f"chain: {self.chain_id}\n"
            f"model: 0x{self.model.hex()}\n"
            f"metric: {self.metric}\n"
            f"value: {self.value:.6f}\n"
            f"test set: {self.test_set.hex()}\n"
            f"issue: {self.issue}"
        )

    def digest(self) -> bytes:
        """Of the text as EIP-191 (version 0x45) has it."""
        text = self.text().encode()
        return keccak(b"\x19Ethereum Signed Message:\n%d" % len(text) + text)

    def sign(self, secret: bytes) -> bytes:
        """65 bytes: r, s, and 27 or 28."""
        parity, r, s = sign_digest(secret, self.digest())
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((27 + parity,))


@dataclass(frozen=True)
class Score:
    statement: Statement
    scorer: bytes
    signature: bytes


@dataclass(frozen=True)
class Rating:
    """What scorers say of one model in one metric: the median cannot be moved by a few."""

    median: Decimal
    scorers: int


def verify_score(statement: Statement, signature: bytes) -> Score:
    """Raises `ScoreRefused`."""
    most = SPEED_LIMIT * MICRO if statement.metric is Metric.SPEED else MICRO
    if not 0 <= statement.value_micro <= most:
        raise ScoreRefused(f"{statement.metric} lies in 0 … {most // MICRO}")
    if not 0 <= statement.issue < ISSUE_LIMIT:
        raise ScoreRefused(f"issue lies in 0 … {ISSUE_LIMIT - 1}")
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise ScoreRefused("a signature has 65 bytes: r, s, and v of 27 or 28")
    r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
    scorer = recover_address(statement.digest(), signature[64] % 27, r, s)
    if scorer is None:
        raise ScoreRefused("the signature is of no one")
    return Score(statement, scorer, signature)


class ScoreBook:
    """Every score, in memory and on disk. Safe for several threads."""

    def __init__(self, store: ChainStore, chain_id: int) -> None:
        self._store = store
        self._chain_id = chain_id
        self._lock = threading.Lock()
        self._scores: dict[bytes, dict[tuple[Metric, bytes], Score]] = {}
        self._count = 0
        for key, raw in store.records(TABLE):
            self._keep(_decode(chain_id, key, raw))

    def add(self, score: Score, is_account: Callable[[bytes], bool]) -> None:
        """Take a verified score. ``is_account`` tells whether an address is in use on the chain:
        new ones cost nothing and could fill the book. Raises `ScoreRefused` or `StoreError`."""
        stated = score.statement
        if stated.chain_id != self._chain_id:
            raise ScoreRefused(f"this is chain {self._chain_id}")
        if not is_account(score.scorer):
            raise ScoreRefused(f"0x{score.scorer.hex()} is no account here: it holds no coins")
        with self._lock:
            self._check_place(score)
            key, raw = _encode(score)
            self._store.change(lambda records: records.put(TABLE, key, raw))
            self._keep(score)

    def of_model(self, model: bytes) -> list[Score]:
        with self._lock:
            return list(self._scores.get(model, {}).values())

    def rating(self, model: bytes, metric: Metric) -> Rating | None:
        """None where nobody has scored the model."""
        values = [s.statement.value for s in self.of_model(model) if s.statement.metric is metric]
        return Rating(statistics.median(values), len(values)) if values else None

    def ratings(self, model: bytes) -> dict[Metric, Rating]:
        found = ((metric, self.rating(model, metric)) for metric in Metric)
        return {metric: rating for metric, rating in found if rating is not None}

    def rank(self, metric: Metric, models: Iterable[bytes]) -> list[tuple[bytes, Rating]]:
        """The rated ones of ``models``, best first."""
        rated = ((model, self.rating(model, metric)) for model in models if model in self._scores)
        found = [(model, rating) for model, rating in rated if rating is not None]
        return sorted(found, key=lambda each: each[1].median, reverse=True)

    def _check_place(self, score: Score) -> None:
        stated = score.statement
        known = self._scores.get(stated.model, {})
        before = known.get((stated.metric, score.scorer))
        if before is not None:
            if before.statement.issue >= stated.issue:
                raise ScoreRefused(f"issue must be above {before.statement.issue}")
            return
        scorers = sum(metric is stated.metric for metric, _ in known)
        if scorers >= SCORERS_LIMIT or self._count >= SCORES_LIMIT:
            raise ScoreRefused(f"there are {scorers} scorers of this model; no more are kept")

    def _keep(self, score: Score) -> None:
        stated = score.statement
        known = self._scores.setdefault(stated.model, {})
        place = (stated.metric, score.scorer)
        self._count += place not in known
        known[place] = score


def _encode(score: Score) -> tuple[bytes, bytes]:
    stated = score.statement
    number = rlp.encode_int
    raw = rlp.encode(
        [number(stated.value_micro), stated.test_set, number(stated.issue), score.signature]
    )
    return stated.model + score.scorer + stated.metric.encode(), raw


def _decode(chain_id: int, key: bytes, raw: bytes) -> Score:
    value, test_set, issue, signature = rlp.decode_list(rlp.decode(raw), 4)
    statement = Statement(
        chain_id,
        key[:20],
        Metric(key[40:].decode()),
        rlp.decode_int(value),
        rlp.decode_bytes(test_set, 20),
        rlp.decode_int(issue),
    )
    return Score(statement, key[20:40], rlp.decode_bytes(signature))
