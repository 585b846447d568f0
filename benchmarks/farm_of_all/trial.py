"""One fault after another: what was done about it, how soon, and how the others fared."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.farm_of_all.faults import FAULTS, INFERS_WRONGLY, Fault
from benchmarks.farm_of_all.machine import DEVICES, INFERRERS, MINERS, everything
from benchmarks.farm_of_all.site import Site, ask, running_site, until

START_SECONDS = 240.0
#: How long the others are watched after the step, and how old a reading of theirs may be.
AFTER_SECONDS, STALE_SECONDS = 4.0, 10.0


async def run_trial(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, everything(Path(folder)) as machine:
        async with running_site(machine) as site:
            began = time.monotonic()
            await put_to_work(site)
            started_seconds = time.monotonic() - began
            asking = asyncio.create_task(site.infer())
            await until(lambda: all(site.answers[d] for d in INFERRERS), 120, "every device infers")
            out: set[str] = set()
            rows = [await try_fault(site, f, out) for f in FAULTS if not (quick and f.is_long)]
            asking.cancel()
            sound = not site.wrong and set(site.refused) <= {INFERS_WRONGLY}
            passed = sound and all(row["passed"] for row in rows)
            return {
                "devices": len(DEVICES),
                "started_seconds": started_seconds,
                "rows": rows,
                "work": [{**site.shares, **site.answers}],
                "wrong_cycles": len(site.wrong),
                "refused_inferences": dict(site.refused),
                "passed": passed,
            }


async def put_to_work(site: Site) -> None:
    def proved() -> bool:
        found = site.inventory.devices if site.inventory else ()
        passed = {(d.id, t.capability) for d in found for t in d.self_tests if t.passed}
        return all((d, "cuckoo" if d in MINERS else "infer") in passed for d in DEVICES)

    await until(proved, START_SECONDS, "every device has proved itself")
    for device in DEVICES:
        await ask(site, device, "mine" if device in MINERS else "infer")
    await until(lambda: all(works(site, d) for d in DEVICES), START_SECONDS, "every device works")


def works(site: Site, device: str) -> bool:
    """By its newest reading and the rig's newest report."""
    at, reading = site.readings.get(device, (0.0, None))
    found = site.inventory.devices if site.inventory else ()
    workload = next((d.workload for d in found if d.id == device), "")
    if reading is None or time.monotonic() - at > STALE_SECONDS:
        return False
    if device in INFERRERS:
        return workload == "infer"
    return workload == "mine" and reading.values.get("graphs_per_second", 0) > 0


async def try_fault(site: Site, fault: Fault, out: set[str]) -> dict[str, Any]:
    """``out``: devices that no longer work because of an earlier fault."""
    if fault.device not in out:
        await until(lambda: works(site, fault.device), 120, f"{fault.device} works again")
    others = [d for d in DEVICES if d != fault.device and d not in out and works(site, d)]
    before, began = work_done(site), time.monotonic()
    fault.inject(site)
    step = ""
    while not step and time.monotonic() - began < fault.seconds:
        await asyncio.sleep(0.1)
        step = await fault.seen(site, began)
    seconds = time.monotonic() - began
    await asyncio.sleep(AFTER_SECONDS)
    disturbed = [d for d in others if site.faults_of(d, began) or not works(site, d)]
    idle = [d for d in others if d in MINERS and work_done(site)[d] == before[d]]
    fault.heal(site)
    if fault.stays_out:
        out.add(fault.device)
    return {
        "fault": fault.name,
        "device": fault.device,
        "step": step,
        "expected": fault.step,
        "seconds": seconds,
        "others_watched": len(others),
        "others_disturbed": " ".join(disturbed) or "none",
        "others_without_a_share": len(idle),
        "passed": step == fault.step and not disturbed,
    }


def work_done(site: Site) -> dict[str, int]:
    return {d: site.shares[d] + site.answers[d] for d in DEVICES}
