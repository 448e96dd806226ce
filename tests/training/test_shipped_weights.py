"""The weights in assets/weights do what their table says, on pictures that no training has seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import models
from explorer import analyze
from explorer.training import dataset
from explorer.training.batches import EVALUATION_ITEMS, EVALUATION_SEED, Labelled
from explorer.training.contest import REASONS
from explorer.training.run import Recipe, Settings
from explorer.training.train import evaluate
from tests.support.places import WEIGHTS

TABLE: dict[str, dict[str, Any]] = json.loads((WEIGHTS / "metrics.json").read_text(encoding="utf-8"))
COMPACT = [name for name in models.presets() if models.preset(name).compact]
FIRST = {"googlenet_mini", "nin_mini", "resnet_mini", "vgg_mini", "zfnet_mini"}  # what the app shows first


@pytest.fixture(scope="module")
def unseen() -> Labelled:
    return Labelled(*dataset.to_tensor_batch(EVALUATION_SEED, 0, EVALUATION_ITEMS))


def test_weights_rows_and_compact_presets_go_together() -> None:
    assert sorted(TABLE) == sorted(COMPACT) == sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


@pytest.mark.parametrize("name", COMPACT)
def test_accuracy_on_unseen_items_is_the_tables(name: str, unseen: Labelled) -> None:
    module = models.build(name)
    module.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    accuracy = evaluate(module, unseen)
    assert accuracy == pytest.approx(TABLE[name]["accuracy"], abs=0.001)
    assert accuracy >= (0.95 if name in FIRST else 0.0)


@pytest.mark.parametrize("epoch", [1, 10, 64])
def test_accuracy_after_an_epoch_is_the_tables(epoch: int, unseen: Labelled) -> None:
    row = json.loads((WEIGHTS / "evolution" / "metrics.json").read_text(encoding="utf-8"))["zfnet_mini"]
    module = models.build("zfnet_mini")
    module.load_state_dict(load_file(WEIGHTS / "evolution" / f"zfnet_mini-epoch{epoch}.safetensors"))
    assert evaluate(module, unseen) == pytest.approx(row["checkpoints"][str(epoch)], abs=0.001)


def test_networks_that_miss_90_percent_and_no_others_have_a_reason() -> None:
    assert {name for name, row in TABLE.items() if row["accuracy"] < 0.9} == set(REASONS)


def test_all_were_trained_alike_and_measured_on_one_machine() -> None:
    for name in ("epochs", "seed", "train_items", "latency_on"):
        assert len({row[name] for row in TABLE.values()}) == 1, name
    assert all(0 < row["latency_ms"]["1"] < row["latency_ms"]["32"] for row in TABLE.values())


def test_the_weights_take_30_megabytes_at_most() -> None:
    files = list(WEIGHTS.glob("*.safetensors"))
    assert sum(file.stat().st_size for file in files) <= 30e6
    assert {t.dtype for file in files for t in load_file(file).values() if t.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize("name", COMPACT)
def test_compact_networks_are_small_and_measured(name: str) -> None:
    row, spec = TABLE[name], models.spec(name)
    figures = analyze(models.build(name, device="meta"), (3, spec.image_size, spec.image_size))
    assert (row["params"], row["macs"]) == (figures.params, figures.macs)
    assert row["params"] <= 500_000
    assert row["macs"] <= 20_000_000


@pytest.mark.parametrize("name", COMPACT)
def test_header_and_row_say_what_the_network_reads_and_tells_apart(name: str) -> None:
    row, spec = TABLE[name], models.spec(name)
    assert row["classes"] == list(dataset.CLASSES)
    assert spec.num_classes == len(dataset.CLASSES)
    assert (row["mean"], row["std"]) == (list(dataset.MEAN), list(dataset.STD))
    assert row["image_size"] == spec.image_size
    with safe_open(WEIGHTS / f"{name}.safetensors", "pt") as file:
        header = file.metadata()
    assert header["preset"] == name
    assert {key: json.loads(header[key]) for key in ("classes", "mean", "std", "image_size")} == {
        key: row[key] for key in ("classes", "mean", "std", "image_size")
    }


@pytest.mark.parametrize("name", COMPACT)
def test_the_command_repeats_the_row(name: str) -> None:
    row = TABLE[name]
    assert row["seed"] < EVALUATION_SEED  # pictures of this seed are the unseen ones
    assert row["command"] == Settings(name, row["epochs"], row["seed"], row["train_items"], {}, Recipe()).command
