"""`paper`: the figures of Zeiler and Fergus as tables and pictures, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.analysis.invariance import invariance
from explorer.cli.main import main
from explorer.networks import catalog
from explorer.training.unseen import unseen_items


def rows(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict]:
    assert main(["paper", *command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_invariance_prints_what_the_function_finds(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "invariance", "zfnet_mini", "--move", "scale", "--items", "3", "--layers", "features.3")
    network, unseen = (
        catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini")),
        unseen_items(3, 64),
    )
    by = [row["by"] for row in found]
    own = invariance(network.program, unseen.images, ["features.3"], "scale", by, unseen.labels.tolist())
    assert (by[0], by[-1], len(by)) == (1.0, 1.8, 9)
    for number, row in enumerate(found):
        assert row["features.3"]["mean"] == pytest.approx(own.distances[0, number].mean(), rel=1e-3, abs=1e-6)
        assert row["probability"]["mean"] == pytest.approx(own.probability[number].mean(), rel=1e-3)
        assert row["probability"]["items"] == 3


def test_a_folder_is_moved_by_the_classes_that_the_network_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((70, 90, 3), 120, np.uint8)).save(tmp_path / "gray.png")
    found = rows(capsys, "invariance", "zfnet_mini", "--move", "rotation", "--pictures", str(tmp_path))
    probabilities = [row["probability"]["mean"] for row in found]
    assert probabilities == pytest.approx([probabilities[0]] * len(found), rel=1e-3)  # an even picture looks the same
    assert found[0]["probability"]["error"] is None


def test_evolution_writes_a_sheet_of_a_row_a_channel_and_a_column_an_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grown.png"
    found = rows(
        capsys,
        "evolution",
        "zfnet_mini",
        "--items",
        "12",
        "--layer",
        "features.3",
        "--channels",
        "3,1",
        "--out",
        str(out),
    )
    assert [row["layer"] for row in found][:2] == ["features.3", "features.7"]
    assert all(row["64"] == pytest.approx(1) for row in found)
    width, height = Image.open(out).size
    assert (width - 4) / 8 == (height - 4) / 2


@pytest.mark.parametrize(("command", "said"), [
    (["evolution", "vgg_mini"], "weights of vgg_mini after 0 epochs; at least 2 are needed"),
    (["evolution", "--items", "4", "--channels", "24", "--layer", "features.3"], "24 is not a channel of features.3"),
    (["invariance", "zfnet_mini", "--layers", "conv9"], "layer='conv9' is not a layer"),
    (["invariance", "zfnet_mini", "--items", "0"], "count=0 is not from 1 to 2,000"),
    (["probes", "zfnet_mini", "--items", "1001"], "items=1001 is not from 1 to 1,000"),
    (["equivariance", "zfnet_mini", "--layers", "classifier.2"], "none of these layers look at places"),
    (["filters", "zfnet_mini", "--items", "x"], "x"),
])  # fmt: skip
def test_what_makes_no_sense_is_one_line(command: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", *command]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
