"""How far attributions keep to the object, over unseen items: against single pictures, and what is kept of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import models
from explorer.analysis.attribution import attribute
from explorer.analysis.attribution_metrics import pixel_curve, share_on_mask
from explorer.analysis.attribution_settings import AttributionMethod, AttributionSettings
from explorer.analysis.mean import Mean
from explorer.analysis.occluder import fill_values
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram, trace
from explorer.networks import catalog
from explorer.training.batches import EVALUATION_SEED, normalise
from explorer.training.dataset import MEAN, STD, draw_item
from explorer.training.faithfulness import measure
from explorer.training.unseen import unseen_items
from tests.cli.test_describe import run

ITEMS = 2


@pytest.fixture(scope="module")
def program() -> TracedProgram:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu").program


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_the_figures_are_the_means_of_single_pictures(
    program: TracedProgram, tmp_path: Path, method: AttributionMethod
) -> None:
    (found,) = measure("zfnet_mini", program, [method], unseen_items(ITEMS, 64), tmp_path)
    shares, areas = [], []
    for index in range(ITEMS):
        item = draw_item(EVALUATION_SEED, index)
        image = normalise(torch.from_numpy(item.image).permute(2, 0, 1)[None].float() / 255)
        gray = fill_values(image, "gray", torch.tensor(MEAN), torch.tensor(STD))
        settings = AttributionSettings(fill_value=gray)
        alone = attribute(program, image, method, item.label, settings)
        shares.append(share_on_mask(alone.map, item.mask))
        areas.append(pixel_curve(program, image, alone, "deletion", settings).area)
    assert found.on_object.mean == pytest.approx(np.mean(shares), rel=1e-4)
    assert found.on_object.error == pytest.approx(np.std(shares, ddof=1) / ITEMS**0.5, rel=1e-3)
    # Of pixels that are equal but for rounding, others may go first.
    assert found.deletion.mean == pytest.approx(np.mean(areas), abs=2e-3)


def test_random_values_lie_on_the_object_as_far_as_it_covers_the_picture(
    program: TracedProgram, tmp_path: Path
) -> None:
    unseen = unseen_items(12, 64)
    (found,) = measure("zfnet_mini", program, ["random"], unseen, tmp_path)
    assert found.on_object.mean == pytest.approx(unseen.masks.mean(), abs=0.01)


def test_what_is_there_is_kept_and_what_was_of_other_weights_or_items_is_not(
    program: TracedProgram, tmp_path: Path
) -> None:
    told: list[str] = []

    def measured(of: TracedProgram, items: int) -> int:
        told.clear()
        measure("zfnet_mini", of, ["saliency"], unseen_items(items, 64), tmp_path, told.append)
        return len(told)

    assert measured(program, 2) == 1
    assert measured(program, 2) == 0
    assert measured(program, 3) == 1
    assert measured(trace(models.build("zfnet_mini", num_classes=12), (3, 64, 64)), 3) == 1
    (tmp_path / "zfnet_mini-saliency.json").write_text('{"items": 3}')
    with pytest.raises(UserError, match="zfnet_mini-saliency.json is damaged"):
        measured(program, 3)


def test_the_mean_leaves_out_what_is_no_number() -> None:
    assert Mean.of(np.array([1.0, np.nan, 3.0])) == Mean(2.0, 1.0, 2)
    assert Mean.of(np.array([1.0])) == Mean(1.0, None, 1)
    with pytest.raises(UserError, match="no mean"):
        Mean.of(np.array([np.nan]))


def test_the_command_prints_a_table_and_names_what_is_not_defined(capsys, tmp_path: Path) -> None:
    options = ["--items", "2", "--method", "deeplift", "--method", "random", "--out", str(tmp_path)]
    code, out, err = run(capsys, "faithfulness", "zfnet_mini", "senet_mini", *options)
    assert code == 0
    header, _, first, second = out.splitlines()
    assert header.count("on the object") == 2
    assert first.startswith("| deeplift | ")
    assert first.endswith("| – | – |")
    assert second.count("±") == 4
    assert "senet_mini: deeplift has no rule for" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "senet_mini-random.json", "zfnet_mini-deeplift.json", "zfnet_mini-random.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["resnet50", "--items", "2"], "error: resnet50 has no weights that were trained on the picture set"),
        (["zfnet_mini", "--items", "0"], "error: items=0 is not from 1 to 2,000"),
        (["zfnet_mini", "--items", "2001"], "error: items=2001 is not from 1 to 2,000"),
    ],
)
def test_what_cannot_be_measured_is_refused(capsys, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    code, _, err = run(capsys, "faithfulness", *arguments, "--out", str(tmp_path / "new"))
    assert code == 2
    assert err.startswith(sentence)
    assert not (tmp_path / "new").exists()


def test_where_no_method_is_defined_there_is_no_table(capsys, tmp_path: Path) -> None:
    options = ["--items", "1", "--method", "deeplift", "--out", str(tmp_path)]
    code, out, err = run(capsys, "faithfulness", "senet_mini", *options)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "error: deeplift: not defined on senet_mini, so there is no table."
