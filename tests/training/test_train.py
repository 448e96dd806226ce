"""Training: exact continuation, cancel, checkpoints, metrics, what is written, and what is refused."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import models
from explorer.cli.training import train_command
from explorer.errors import Cancelled, MemoryLimitError, UserError
from explorer.run import device
from explorer.training import dataset, train
from explorer.training.batches import Labelled, labelled_pictures
from explorer.training.run import Progress, Recipe, Run, learning_rate_share

PRESET, ITEMS, SMALL = "nin_mini", 40, Recipe(batch=16)  # three batches an epoch, the last of 8; with dropout


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few unseen items, and all pictures drawn here: starting processes takes longer than drawing them."""
    monkeypatch.setattr(train, "EVALUATION_ITEMS", 24)
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def run(folder: Path, **options: Any) -> dict[str, Any]:
    given = {"epochs": 2, "items": ITEMS, "recipe": SMALL, "device": "cpu", **options}
    return train.train(PRESET, folder=folder, **given)


def stop_after(folder: Path, step: int) -> None:
    """A run cancelled in the batch that makes `step` steps."""
    stop, seen = threading.Event(), []

    def listen(progress: Progress) -> None:
        if progress.stage == "training":
            seen.append(progress.done)
            if progress.done == step:
                stop.set()

    with pytest.raises(Cancelled):
        run(folder, progress=listen, cancel=stop.is_set)
    assert seen[-1] == step


def history(folder: Path) -> list[dict[str, float]]:
    lines = (folder / PRESET / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the row of a run of two epochs in one go."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "EVALUATION_ITEMS", 24)
        patch.setattr("os.cpu_count", lambda: 1)
        return folder, run(folder)


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_run_continued_equals_a_run_in_one_go(whole: tuple[Path, dict[str, Any]], tmp_path: Path, step: int) -> None:
    folder, row = whole
    stop_after(tmp_path, step)
    assert {**run(tmp_path), "seconds": row["seconds"]} == row
    one, two = (load_file(place / PRESET / "checkpoint.safetensors") for place in (folder, tmp_path))
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert history(folder) == history(tmp_path)


def test_a_finished_run_is_not_trained_again_unless_restarted(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, row = shutil.copytree(whole[0], tmp_path / "copy"), whole[1]
    trained: list[int] = []
    assert run(folder, progress=lambda p: trained.append(p.done)) == row
    assert trained == []
    again = run(folder, restart=True, progress=lambda p: trained.append(p.done))
    assert trained == [1, 2, 3, 4, 5, 6]
    assert again["accuracy"] == row["accuracy"]


def test_another_seed_gives_another_network(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    run(tmp_path, seed=1, epochs=1)
    one, two = (load_file(place / "weights" / f"{PRESET}.safetensors") for place in (whole[0], tmp_path))
    name = next(iter(one))
    assert not torch.equal(one[name], two[name])


def test_the_generators_of_the_process_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run(tmp_path, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_what_a_run_writes(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, row = whole
    assert json.loads((folder / "weights" / "metrics.json").read_text()) == {PRESET: row}
    assert row["command"] == f"python -m explorer train {PRESET} --epochs 2 --seed 0 --items {ITEMS}"
    with safe_open(folder / "weights" / f"{PRESET}.safetensors", "pt") as file:
        header = file.metadata()
    assert header["preset"] == PRESET
    for name in ("classes", "mean", "std", "image_size"):
        assert json.loads(header[name]) == row[name]
    module = models.build(PRESET, num_classes=len(dataset.CLASSES))
    weights = load_file(folder / "weights" / f"{PRESET}.safetensors")
    module.load_state_dict(weights)
    assert {t.dtype for t in weights.values() if t.is_floating_point()} == {torch.float16}
    assert row["params"] == sum(p.numel() for p in module.parameters())
    assert row["accuracy"] == train.evaluate(module, labelled_pictures(10**6, 24, 64, folder / "pictures"))
    assert [line["epoch"] for line in history(folder)] == [1, 2]


def test_a_row_joins_the_rows_of_other_networks(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"other": {"accuracy": 0.5}}')
    row = run(whole[0], out=tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {PRESET: row, "other": {"accuracy": 0.5}}


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run(tmp_path, epochs=8, items=48)
    losses = [line["loss"] for line in history(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]


def test_progress_counts_every_step_and_the_time_left(tmp_path: Path) -> None:
    heard: list[Progress] = []
    run(tmp_path, progress=heard.append)
    assert [p.done for p in heard if p.stage == "drawing"] == [ITEMS, 24]
    steps = [p for p in heard if p.stage == "training"]
    assert [(p.done, p.total, p.epoch) for p in steps] == [(n, 6, 1 + (n > 3)) for n in range(1, 7)]
    assert steps[0].eta_s > 0
    assert steps[-1].eta_s == 0
    assert str(Progress("training", 3, 6, 61.2, 1, 1.25, 0.5)) == (
        "epoch 1, training 3/6, 1:01 left, loss 1.250, training accuracy 50.0 %"
    )


def test_the_command_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def interrupted(*_: Any, **__: Any) -> dict[str, Any]:
        raise Cancelled

    monkeypatch.setattr("explorer.cli.training.train", interrupted)
    assert train_command(PRESET) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_the_command_prints_the_row(whole: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    folder, row = whole
    options: dict[str, Any] = {"epochs": 2, "items": ITEMS, "recipe": SMALL, "device": "cpu"}
    assert train_command(PRESET, folder=folder, **options) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["accuracy"] == row["accuracy"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"items": 0}, "items=0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1_000_000}, "seed=1000000"),  # the unseen items'
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        run(tmp_path, **options)


def test_a_checkpoint_of_other_settings_is_refused(whole: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(UserError, match="epochs=2, not 3"):
        run(whole[0], epochs=3)


@pytest.mark.parametrize("kind", ["cut", "text", "foreign"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / PRESET / "checkpoint.safetensors"
    path.parent.mkdir()
    save_file({"a": torch.zeros(1000)}, path)
    if kind != "foreign":
        path.write_bytes(path.read_bytes()[:2000] if kind == "cut" else b"not weights")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors is not a checkpoint"):
        run(tmp_path)


@pytest.mark.parametrize("keep", [0, -1])
@pytest.mark.parametrize("kind", ["weight", "exp_avg_sq"])
def test_a_checkpoint_without_all_its_values_is_refused(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path, kind: str, keep: int
) -> None:
    kept, path = whole[0] / PRESET / "checkpoint.safetensors", tmp_path / PRESET / "checkpoint.safetensors"
    with safe_open(kept, "pt") as file:
        header = file.metadata()
    tensors = load_file(kept)
    damaged = next(name for name in tensors if name.endswith(kind))
    values = tensors.pop(damaged)[:keep]
    path.parent.mkdir()
    save_file({**tensors, **({damaged: values.contiguous()} if keep else {})}, path, header)
    with pytest.raises(UserError, match=r"checkpoint\.safetensors is not a checkpoint"):
        run(tmp_path)


def test_a_damaged_table_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"nin_mini": {"accura')
    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        run(tmp_path / "runs", out=tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("options", "figure"), [({}, r"\d+\.\d MB"), ({"items": 10_000_000}, r"12[234]\.\d GB")])
def test_what_does_not_fit_is_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], figure: str
) -> None:
    """Ten million pictures of 3 × 64 × 64 bytes take 122.9 GB, the rest less than 1."""
    monkeypatch.setattr(device, "free_bytes", lambda _: 4_000_000)
    with pytest.raises(MemoryLimitError, match=rf"^Training nin_mini .* needs about {figure}, but CPU has 4\.0 MB"):
        run(tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_the_memory_that_training_takes_is_near_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a factor of 2: what autograd keeps of each layer is its own affair."""
    told: list[int] = []
    monkeypatch.setattr(device, "ensure_fits", lambda needed, *_: told.append(needed))
    settings = train.settings_of("resnet_mini", 1, 0, 1000)
    train.ensure_fits(settings, torch.device("cpu"))
    module, kept = models.build("resnet_mini").train(), dict[int, int]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(torch.rand(128, 3, 64, 64)).sum()
    pictures = (1000 + train.EVALUATION_ITEMS) * 3 * 64**2
    assert 0.5 < (told[0] - pictures) / sum(kept.values()) < 2


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finite at step"):
        run(tmp_path, epochs=20, recipe=Recipe(batch=16, peak_rate=1e30))


def test_auxiliary_heads_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.auxiliary = (nn.Linear(3, len(dataset.CLASSES)) for _ in range(2))

        def forward(self, x: torch.Tensor) -> Any:
            x = x.mean((2, 3))
            return (self.main(x), self.auxiliary(x)) if self.training else self.main(x)

    module = TwoHeads()
    before = module.auxiliary.weight.detach().clone()
    monkeypatch.setattr(models, "build", lambda *_, **__: module)
    run(tmp_path, epochs=1)
    assert not torch.equal(module.auxiliary.weight, before)


def test_the_learning_rate_rises_then_falls_to_nearly_0() -> None:
    shares = [learning_rate_share(step, 100, 0.2) for step in range(100)]
    assert shares.index(max(shares)) in (19, 20)
    assert max(shares) == 1.0
    assert shares[:20] == sorted(shares[:20])
    assert shares[20:] == sorted(shares[20:], reverse=True)
    assert 0 < shares[-1] < 0.01


def test_evaluate_counts_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    class FirstPixel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            level = (x[:, 0, 0, 0] * dataset.STD[0] + dataset.MEAN[0]) * 255
            return nn.functional.one_hot(level.round().long(), 3).float()

    images = torch.tensor([0, 1, 2, 2], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    assert train.evaluate(FirstPixel(), Labelled(images, torch.tensor([0, 1, 2, 0])), batch=3) == 0.75


def test_depthwise_convolutions_on_a_cpu_keep_float32_within_autocast(tmp_path: Path) -> None:
    settings = train.settings_of("mobilenet_v1_mini", 1, 0, ITEMS)
    module = Run(settings, torch.device("cpu"), tmp_path, lambda _: None, lambda: False).module
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            is_depthwise = layer.groups > 1
            layer.register_forward_hook(lambda *call, kind=is_depthwise: seen[kind].add(call[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        module(torch.rand(1, 3, 64, 64))
    assert seen == {True: {torch.float32}, False: {torch.bfloat16}}
