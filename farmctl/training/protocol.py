"""What a training process and its runner say to each other.

The job's folder holds ``job.json`` (`JobSpec`), ``checkpoint.pt`` once there is one, and at the
end the files named in `Finished`. The process writes one JSON object a line to standard output;
the runner writes ``drain`` to its standard input to have it checkpoint and leave.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

JOB_FILE = "job.json"
CHECKPOINT_FILE = "checkpoint.pt"
DRAIN = "drain"

#: Exit status of a process that has checkpointed because it was asked to leave.
EXIT_DRAINED = 75


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobSpec(Line):
    kind: str
    total_steps: int = Field(gt=0)
    parameters: dict[str, str] = {}


class Progress(Line):
    """Steps done so far; what is not in a checkpoint yet may be done again after a crash."""

    kind: Literal["progress"] = "progress"
    steps_done: int
    device_seconds: float
    loss: float


class Saved(Line):
    """A checkpoint lies on the disk, whole."""

    kind: Literal["saved"] = "saved"
    steps_done: int
    device_seconds: float


class Finished(Line):
    kind: Literal["finished"] = "finished"
    steps_done: int
    device_seconds: float
    files: tuple[str, ...]
    figures: dict[str, str]


class Failed(Line):
    """The job itself is wrong; trying again would fail again."""

    kind: Literal["failed"] = "failed"
    detail: str


Report = Annotated[Progress | Saved | Finished | Failed, Field(discriminator="kind")]
_REPORT: TypeAdapter[Progress | Saved | Finished | Failed] = TypeAdapter(Report)


def parse_report(line: bytes) -> Progress | Saved | Finished | Failed | None:
    """The report on a line, or None where the line is something else that was printed."""
    try:
        return _REPORT.validate_json(line)
    except ValueError:
        return None
