"""A job's folder: what a kill leaves in it, and when it goes."""

from __future__ import annotations

import os
from pathlib import Path

from farmctl.agent.job_folder import JobFolder, forget_old_folders
from farmctl.training.protocol import JobSpec

SPEC = JobSpec(kind="digits-cnn", total_steps=10)


async def make_folder(rig: Path, job: str, changed: float) -> JobFolder:
    folder = JobFolder(rig, job)
    await folder.enter(1, SPEC)
    os.utime(folder.path, (changed, changed))
    return folder


async def test_what_a_kill_left_half_written_is_swept_up(tmp_path: Path) -> None:
    folder = await make_folder(tmp_path, "job-1", 0)
    folder.leave()
    folder.checkpoint.write_text("whole")
    (folder.room / ".checkpoint.pt.k2j1").write_text("half")
    (folder.room / ".checkpoint.pt.d").mkdir()
    (folder.room / ".own").write_text("the job's")
    await folder.enter(1, SPEC)
    folder.leave()
    names = {path.name for path in folder.room.iterdir()}
    assert names == {"job.json", "checkpoint.pt", ".checkpoint.pt.d", ".own"}


async def test_oldest_folders_go_except_one_at_work(tmp_path: Path) -> None:
    folders = [await make_folder(tmp_path, f"job-{n}", 1000 + n) for n in range(5)]
    for folder in folders[1:]:
        folder.leave()
    forget_old_folders(tmp_path, keep=2)
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {"job-0", "job-3", "job-4"}
    folders[0].leave()
