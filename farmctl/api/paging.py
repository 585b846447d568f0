"""Where a list that is read page by page goes on."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

#: What the store can compare with.
LARGEST = 2**63 - 1

Before = Annotated[int | None, Query(ge=0, le=LARGEST)]
"""Only what comes before this number: the last one of the page before."""

BeforeName = Annotated[str | None, Query(max_length=128)]
"""Only what comes after the one with this id, the last one of the page before."""
