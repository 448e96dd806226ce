"""What is said and drawn of networks beside each other, against figures by hand and torch's own count."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
import torchvision

import models
from explorer.analysis.alignment import align
from explorer.analysis.structure import Analysis
from explorer.figures import comparison
from explorer.networks import catalog


@lru_cache
def analysis(preset: str, **knobs: Any) -> Analysis:
    spec = models.spec(preset, **knobs)
    return catalog.structure(spec, (spec.in_channels, spec.image_size, spec.image_size))


def rows(left: str, right: str, *fates: Any) -> list[dict[str, Any]]:
    one, other = analysis(left), analysis(right)
    return comparison.table(align(one.graph, other.graph), one, other, fates)


def test_figures_have_their_differences_from_the_reference() -> None:
    found = {row.name: row for row in comparison.figures(analysis("resnext50_32x4d"), analysis("resnet50"))}
    sizes = [sum(p.numel() for p in getattr(torchvision.models, name)().parameters())
             for name in ("resnext50_32x4d", "resnet50")]  # fmt: skip
    assert found["Parameters"].exact == f"{sizes[0]:,}"
    assert found["Parameters"].difference == f"-{(sizes[1] - sizes[0]) / sizes[1]:.1%}".replace("%", " %")
    assert found["Depth"].difference == found["Receptive field"].difference == ""


def test_the_differences_of_the_rows_add_up_to_that_of_the_networks() -> None:
    for left, right in (("resnet50", "resnext50_32x4d"), ("vgg13", "vgg13_bn"), ("densenet121", "densenet169")):
        found = rows(left, right, "changed", "added", "removed", "follows", "same")
        for what in ("params", "macs"):
            expected = getattr(analysis(right), what) - getattr(analysis(left), what)
            assert sum(row[f"{what} difference"] for row in found) == expected
            assert sum(row[what] for row in found) == getattr(analysis(right), what)


def test_rows_say_what_differs() -> None:
    found = {row["reference"]: row for row in rows("resnet50", "resnext50_32x4d", "changed", "follows")}
    assert found["layer1.0.conv2"]["change"] == "groups 1 → 32, channels 64 → 128"
    assert found["layer1.0.act2"]["change"] == "input 64 × 56 × 56 → 128 × 56 × 56, output 64 × 56 × 56 → 128 × 56 × 56"
    assert found["layer1.0.conv3"]["fate"] == "follows"
    (added, *_) = rows("resnet50", "se_resnet50", "added")
    assert (added["reference"], added["left output"], added["params"]) == (None, None, 0)
    assert added["change"].startswith("avg pool")


def test_the_summary_counts_the_layers() -> None:
    def said(left: str, right: str) -> str:
        return comparison.summary(align(analysis(left).graph, analysis(right).graph))

    assert said("resnet50", "resnext50_32x4d") == "32 changed, 80 follow, 64 the same"
    assert said("vgg13", "vgg13_bn") == "10 added, 35 the same"
    assert said("resnet18", "resnet18") == f"{len(analysis('resnet18').graph)} the same"


def test_fields_lie_over_each_other_in_one_figure() -> None:
    figure = comparison.growth_over({"A · vgg16": analysis("vgg16"), "B · resnet18": analysis("resnet18")})
    lines: Any = figure.data
    assert [line.name for line in lines] == ["A · vgg16", "B · resnet18"]
    assert lines[0].y[-1] == 212  # of the last pool: Araujo, Norris and Sim, Distill 2019
    assert lines[1].y[-1] == 435
    assert len({line.line.color for line in lines}) == 2


def test_costs_of_all_networks_stand_at_each_stage() -> None:
    small, large = analysis("resnet18"), analysis("resnet18", image_size=256)
    figure = comparison.costs_over({"A": small, "B": large, "C": analysis("vit_mini")})
    bars: Any = figure.data
    assert len(bars) == 6
    lowest_first = (analysis("vit_mini"), large, small)  # as bars of a group are drawn
    sums = [figure for one in lowest_first for figure in (one.params, one.macs)]
    assert [sum(bar.x) for bar in bars] == sums
    stages = list(bars[-1].y)
    assert stages.index("112 × 112") < stages.index("56 × 56") < stages.index("7 × 7")
    assert stages.index("128 × 128") < stages.index("64 × 64")


@pytest.mark.parametrize("name", ["<b>bold</b>", "<a href='//evil.example'>x</a>"])
def test_names_are_no_markup(name: str) -> None:
    for figure in (
        comparison.growth_over({name: analysis("lenet5")}),
        comparison.costs_over({name: analysis("lenet5")}),
    ):
        drawn: Any = figure.data
        assert all("<" not in trace.name for trace in drawn)
