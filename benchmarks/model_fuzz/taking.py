"""The child: says the number of each case before it takes it, and the outcome after."""

from __future__ import annotations

import itertools
import json
import resource
import sys
import traceback
import warnings
from typing import Any

from benchmarks.model_fuzz.cases import Cases

#: Of addresses: more than any case needs, and far less than a careless parser takes.
MEMORY_BYTES = 6 << 30


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def main(first: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    cases = Cases()
    for number in itertools.count(first):
        say(case=number)
        try:
            outcome = cases.take(number)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            trace = traceback.format_exc().strip().splitlines()[-7:]
            say(case=number, finding=f"{type(error).__name__}: {error} | {' '.join(trace)}")
            continue
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        say(case=number, outcome=outcome, peak_bytes=peak)


if __name__ == "__main__":
    main(int(sys.argv[1]))
