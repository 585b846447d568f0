"""The zoo's nets are the papers', and what is kept of them is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.zoo import files, integers
from benchmarks.zoo.catalogue import Net, all_nets, find
from benchmarks.zoo.weights import fill
from drivers.cpu.loaded_program import LoadedProgram
from node.lowering import encode_heads
from node.spec.cvm import run


@pytest.mark.parametrize("net", all_nets(), ids=lambda net: net.name)
def test_definition_has_the_published_size(net: Net) -> None:
    with torch.device("meta"):
        module = net.build().eval()
        products = _count_products(module, torch.empty(1, *net.shape))
    parameters = sum(each.numel() for each in module.parameters())
    assert parameters / 1e6 == pytest.approx(net.million_parameters, abs=0.06)
    assert products / 1e9 == pytest.approx(net.gmac, abs=0.01)


def _count_products(module: nn.Module, image: torch.Tensor) -> int:
    total = 0

    def count(layer: nn.Module, given: object, answer: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        window = layer.weight[0].numel()
        total += answer.numel() * window

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    module(image)
    return total


def test_weights_are_seeded_and_normalisations_are_not_the_identity() -> None:
    net = find("inception-bn")
    first, second = net.build(), net.build()
    fill(first, (3, 64, 64))
    fill(second, (3, 64, 64))
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4) for a, b in pairs)
    normalisation = next(m for m in first.modules() if isinstance(m, nn.BatchNorm2d))
    assert normalisation.running_var is not None
    assert not torch.allclose(normalisation.running_var, torch.ones(1), atol=0.01)
    assert normalisation.weight.std() > 0.1


def test_unknown_net_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="no net 'alexnet'; there are caffenet, nin"):
        find("alexnet")


def test_a_file_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    path = tmp_path / "net" / "file"
    with pytest.raises(OSError, match="disk full"):
        files.keep(path, fail)
    assert list(path.parent.iterdir()) == []
    files.keep(path, lambda made: made.write_text("whole") and None)
    files.keep(path, fail)
    assert path.read_text() == "whole"


def test_files_of_older_code_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMCTL_ZOO", str(tmp_path))
    net = find("nin")
    old = files.peer_file(net, "peer.bin")
    old.write_text("made by older code")
    monkeypatch.setattr(files, "digest_package", lambda package: "another")
    new = files.peer_file(net, "peer.bin")
    assert new.parent.is_dir() and not old.exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["squeezenet", "inception-bn"])
def test_converted_net_runs_on_the_processor_as_on_the_reference(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMCTL_ZOO", str(tmp_path))
    net = find(name)
    graph = integers.read_graph(net, integers.OFFICIAL)
    image = bytes(range(256)) * (3 * net.side**2 // 256 + 1)
    data = image[: 3 * net.side**2]
    loaded = LoadedProgram(integers.read_program(net, integers.OFFICIAL), 1 << 32)
    words = torch.frombuffer(bytearray(data), dtype=torch.int8).clamp(-127, 127).int()
    answer = loaded.run(words.numpy().astype("<i4").tobytes())
    loaded.close()
    assert encode_heads(graph, answer) == run(graph, data)
