"""The loop that trains with checkpoints, on the real digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from farmctl.errors import StoreError
from farmctl.training.checkpoint import TorchCheckpoints
from farmctl.training.protocol import Finished, JobSpec, Progress, Saved
from farmctl.training.trainer import Loop, Record
from farmctl.training.trainers.digits_cnn import create, fold_scale, load_split

STEPS = 30


class Teller:
    """Collects what a loop tells, and asks it to drain after so many steps."""

    def __init__(self, drain_after: int = 10**9) -> None:
        self.lines: list[Progress | Saved | Finished] = []
        self._drain_after = drain_after

    def tell(self, line: Progress | Saved | Finished) -> None:
        self.lines.append(line)

    def should_drain(self) -> bool:
        return sum(isinstance(line, Progress) for line in self.lines) >= self._drain_after


def train(folder: Path, teller: Teller, steps: int = STEPS, every: int = 10) -> bool:
    trainer = create(JobSpec(kind="digits-cnn", total_steps=steps, parameters={"seed": "7"}))
    store = TorchCheckpoints(folder / "checkpoint.pt")
    folder.mkdir(exist_ok=True)
    return Loop(trainer, store, folder, steps, every, teller.tell, teller.should_drain).run()


def read_losses(folder: Path) -> list[str]:
    return (folder / "losses.txt").read_text().splitlines()


def test_an_interrupted_job_has_the_loss_curve_of_an_undisturbed_one(tmp_path: Path) -> None:
    assert train(tmp_path / "whole", Teller())
    drained = Teller(drain_after=13)
    assert not train(tmp_path / "parts", drained)
    assert isinstance(drained.lines[-1], Saved)
    assert drained.lines[-1].steps_done == 13
    assert train(tmp_path / "parts", Teller())
    curve = read_losses(tmp_path / "parts")
    assert len(curve) == STEPS
    assert curve == read_losses(tmp_path / "whole")


def test_a_crash_repeats_no_step_in_the_record(tmp_path: Path) -> None:
    class Crash(Exception):
        pass

    class CrashingTeller(Teller):
        def tell(self, line: Progress | Saved | Finished) -> None:
            super().tell(line)
            if isinstance(line, Progress) and line.steps_done == 17:
                raise Crash

    with pytest.raises(Crash):
        train(tmp_path / "crashed", CrashingTeller())
    resumed = Teller()
    assert train(tmp_path / "crashed", resumed)
    first = resumed.lines[0]
    assert isinstance(first, Progress)
    assert first.steps_done == 11  # the checkpoint was at 10
    assert train(tmp_path / "whole", Teller())
    assert read_losses(tmp_path / "crashed") == read_losses(tmp_path / "whole")


def test_device_seconds_add_up_over_attempts(tmp_path: Path) -> None:
    store = TorchCheckpoints(tmp_path / "checkpoint.pt")
    store.save(Record([1.0, 0.5], 12.5), {})
    found = store.load()
    assert found is not None
    assert found[0].device_seconds == 12.5
    assert found[0].losses == [1.0, 0.5]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """A real file system that is full would need privileges; the limit on a file's size makes
    the same write fail in the same place."""
    import resource
    import signal

    store = TorchCheckpoints(tmp_path / "checkpoint.pt")
    store.save(Record([1.0], 1.0), {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(StoreError, match=r"checkpoint\.pt"):
            store.save(Record([1.0, 0.9], 2.0), {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old_handler)
    found = store.load()
    assert found is not None
    assert found[0].losses == [1.0]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense", b"x" * 1000])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"checkpoint\.pt"):
        TorchCheckpoints(path).load()


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    TorchCheckpoints(path).save(Record([1.0], 1.0), {"weights": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError):
        TorchCheckpoints(path).load()


def test_the_exported_graph_takes_pixels_and_gives_the_same_scores(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    teller = Teller()
    assert train(tmp_path / "job", teller, steps=150, every=150)
    end = teller.lines[-1]
    assert isinstance(end, Finished)
    assert float(end.figures["accuracy"]) > 0.8
    session = onnxruntime.InferenceSession(tmp_path / "job" / "model.onnx")
    (entry,) = session.get_inputs()
    assert entry.shape == [1, 1, 8, 8]
    digits = np.load(tmp_path / "job" / "digits.npz")
    images, labels = digits["test_images"], digits["test_labels"]
    assert images.min() >= 0
    assert images.max() == 16
    named = [
        int(session.run(None, {entry.name: image[None].astype(np.float32)})[0].argmax())
        for image in images
    ]
    accuracy = float(np.mean(np.array(named) == labels))
    assert accuracy == pytest.approx(float(end.figures["accuracy"]), abs=0.004)


def test_folding_keeps_the_function() -> None:
    trainer = create(JobSpec(kind="digits-cnn", total_steps=1))
    trainer.step(0)
    network = trainer._network.eval()
    _, test_x, _, _ = load_split()
    with torch.no_grad():
        assert torch.allclose(fold_scale(network)(test_x), network(test_x / 16.0), atol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [{"seed": "-1"}, {"batch_size": "0"}, {"learning_rate": "nan"}, {"batch_size": "many"}],
)
def test_nonsense_parameters_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        create(JobSpec(kind="digits-cnn", total_steps=1, parameters=parameters))
