"""Inference for consensus: from what the machine asks to an engine that computes it.

`Inference` (`machine`) fulfils the machine's `Infer` protocol and keeps results; the `Scheduler`
orders and joins what is asked; an `InferEngine` computes, and a `CrossCheckedEngine` sees to it
that no device is believed. An engine that fails is never an answer: the transaction waits
(`InferRuntimeError`), as does a block that holds it.
"""

from node.inference.checking import CheckCounts, CrossCheckedEngine
from node.inference.engine import Answer, InferEngine, ReferenceEngine
from node.inference.machine import Computed, CountedInference, Inference, InferenceCounts
from node.inference.scheduler import Scheduler, SchedulerCounts, Urgency

__all__ = [
    "Answer",
    "CheckCounts",
    "Computed",
    "CountedInference",
    "CrossCheckedEngine",
    "InferEngine",
    "Inference",
    "InferenceCounts",
    "ReferenceEngine",
    "Scheduler",
    "SchedulerCounts",
    "Urgency",
]
