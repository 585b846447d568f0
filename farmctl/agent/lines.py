"""What an agent and its runners say to each other: one JSON object a line.

Commands go to the runner's standard input, reports come from its standard output. The end of
standard input means that the agent is gone; the runner then leaves.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from farmctl.domain import Workload
from farmctl.messages import AssignmentMessage, FaultEvent, JobProgress, ShareEvent

#: Longest line either side takes.
LINE_BYTES = 1024 * 1024


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Assign(Line):
    """Do this now; the newest command counts."""

    kind: Literal["assign"] = "assign"
    plan_number: int
    assignment: AssignmentMessage


Cause = Literal["", "device", "refused", "unavailable"]


class State(Line):
    """What became of an assignment, or of work that was under way."""

    kind: Literal["state"] = "state"
    plan_number: int
    workload: Workload
    job_id: str | None = None
    state: Literal["running", "failed", "ended"]
    """``ended``: the work is done and the device is free."""
    cause: Cause = ""
    """Why it failed: the device, the rules (trying again is no use), or something passing."""
    code: str = ""
    detail: str = ""


class Rates(Line):
    kind: Literal["rates"] = "rates"
    values: dict[str, float]


class Happened(Line):
    kind: Literal["event"] = "event"
    body: Annotated[ShareEvent | JobProgress | FaultEvent, Field(discriminator="kind")]


Report = State | Rates | Happened
_REPORT: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(line: bytes) -> Report:
    """Raises ValueError when the line is no report."""
    return _REPORT.validate_json(line)


def encode_line(line: Line) -> bytes:
    return line.model_dump_json().encode() + b"\n"
