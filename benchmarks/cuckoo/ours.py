"""This repository's processor solver as a program: see `benchmarks.cuckoo.program`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cuckoo.cases import HEADER
from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from drivers.kernels.graphs import NonceForm
from drivers.kernels.jobs import keys_of_job

MEMORY_LIMIT_BYTES = 32 << 30
CODE = "from benchmarks.cuckoo.ours import main; main()"


def command(edge_bits: int, rounds: tuple[int, int]) -> list[str]:
    siphash = f"{rounds[0]}-{rounds[1]}"
    return [sys.executable, "-c", CODE, "--edge-bits", str(edge_bits), "--siphash", siphash]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge-bits", type=int, required=True)
    parser.add_argument("--siphash", default="4-8")
    parser.add_argument("-n", dest="nonce", type=int, default=0)
    parser.add_argument("-r", dest="graphs", type=int, default=1)
    parser.add_argument("-t", dest="threads", type=int, default=1)
    parser.add_argument("-s", action="store_true", help="print solutions, which ours always does")
    given = parser.parse_args()
    compression, finalisation = map(int, given.siphash.split("-"))
    job = CuckooJob(
        HEADER, given.edge_bits, (compression, finalisation), nonce_form=NonceForm.TROMP
    )
    _say(f"Looking for {job.proof_size}-cycle on {job.cycle}{job.edge_bits}(")
    _say(f"Baseline {_resident_kilobytes()} kB")
    search(job, range(given.nonce, given.nonce + given.graphs), given.threads)


def search(job: CuckooJob, nonces: range, threads: int) -> None:
    session = CuckooSearch(threads, MEMORY_LIMIT_BYTES)
    while nonces:
        batch, nonces = nonces[:threads], nonces[threads:]
        started = time.perf_counter()
        _, found = session.search(job, batch.start, len(batch), lambda: False)
        milliseconds = (time.perf_counter() - started) * 1e3 / len(batch)
        for nonce in batch:
            _say(f"nonce {nonce} k0 k1 k2 k3 {_hexadecimal(keys_of_job(job, nonce))}")
            _say(f"Time: {milliseconds:.3f} ms")
            for cycle in found:
                if cycle.nonce == nonce:
                    _say(f"Solution {_hexadecimal(cycle.edges)}")
    session.close()


def _hexadecimal(numbers: Sequence[int]) -> str:
    return " ".join(f"{number:x}" for number in numbers)


def _say(line: str) -> None:
    print(line, flush=True)


def _resident_kilobytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
