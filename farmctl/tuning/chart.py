"""What the tuner measured, as tables with a bar a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from farmctl.tables import ABSENT
from farmctl.tuning.measuring import Failed, Measured
from farmctl.tuning.records import Options
from farmctl.tuning.sweep import Step

BAR_COLUMNS = 16
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, columns: int = BAR_COLUMNS) -> str:
    """A horizontal bar of so much of the columns, to an eighth of one."""
    eighths = round(min(max(share, 0.0), 1.0) * columns * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def name_of(options: Options) -> str:
    """``threads 2``; ``default`` is the driver's own choice."""
    words = (f"{key.replace('_', ' ')} {value}" for key, value in options.items())
    return ", ".join(words) or "default"


def variants_table(title: str, found: Sequence[Measured | Failed], best: Measured | None) -> Table:
    """A row a variant; the best one is marked."""
    table = _table(title, "variant", "graphs/s", "±", "host MB", "device MB", "W", "J/graph", "")
    most = max((one.graphs_per_second for one in found if isinstance(one, Measured)), default=1.0)
    for one in found:
        if isinstance(one, Failed):
            table.add_row(name_of(one.options), Text(one.reason, "red"))
            continue
        style = "bold green" if one is best else ""
        table.add_row(*_cells(one), bar(one.graphs_per_second / most), style=style)
    return table


def sweep_table(title: str, steps: Sequence[Step], best: Step | None) -> Table:
    """A row a power limit; the bar is of graphs a joule, so the longest is the best."""
    table = _table(title, "limit W", "graphs/s", "W", "J/graph", "graphs/J")
    per_joule = [1 / each for step in steps if (each := step.joules_per_graph)]
    most = max(per_joule, default=1.0)
    for step in steps:
        each = step.joules_per_graph
        cells = (f"{step.limit_watts:.0f}", number(step.graphs_per_second))
        shown = bar(1 / each / most) if each else ""
        style = "bold green" if step is best else ""
        table.add_row(*cells, number(step.energy.watts), number(each), shown, style=style)
    return table


def number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4g}"


def reasons(found: Iterable[Measured]) -> set[str]:
    """Why energy could not be read."""
    return {one.energy.reason for one in found if one.energy.joules is None}


def _cells(one: Measured) -> tuple[str, ...]:
    device_bytes = None if one.device_bytes is None else one.device_bytes / 1e6
    return (
        name_of(one.options),
        number(one.graphs_per_second),
        f"{one.spread_ratio:.1%}",
        f"{one.worker_bytes / 1e6:.0f}",
        ABSENT if device_bytes is None else f"{device_bytes:.0f}",
        number(one.energy.watts),
        number(one.joules_per_graph),
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        if place in (0, len(columns) - 1):
            table.add_column(column, overflow="fold", no_wrap=place > 0)
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table
