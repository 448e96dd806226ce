"""Lineages: they begin and end at the published networks, every step is valid, and the figures are the papers'."""

from __future__ import annotations

import pytest
import torch
import torchvision

import models
from explorer.analysis.structure import analyze
from explorer.networks.footprint import footprint
from explorer.networks.lineage import LINEAGES, RESNET_TO_CONVNEXT, Lineage

each_lineage = pytest.mark.parametrize("lineage", LINEAGES.values(), ids=lambda lineage: lineage.name)
ENDS = {
    "zfnet": ("alexnet_2012", "zfnet"),
    "inception_v3": ("googlenet_2014", "inception_v3"),
    "convnext": ("resnet50", "convnext_tiny"),
    "efficientnet": ("mobilenet_v2", "efficientnet_b0"),
}
# Giga-multiply-accumulates of Liu et al. 2022, table 10 (which calls them FLOPs), in the order of its rows. "BN → LN"
# has 4.46 there, but 4.2 in figure 2: a norm adds no products. The last row, 4.49, counts more than products.
TABLE_10 = {
    "ResNet-50": 4.09,
    "Stage ratio 3 : 3 : 9 : 3": 4.53,
    "A stem of patches": 4.42,
    "Depthwise 3×3": 2.35,
    "Width 64 → 96": 5.27,
    "Inverted bottleneck": 4.64,
    "The depthwise convolution moves up": 4.07,
    "Window 3 → 7": 4.15,
    "ReLU → GELU": 4.15,
    "One activation": 4.15,
    "One normalisation": 4.15,
}
FIGURE_2 = {"Batch → layer norm": 4.2, "ConvNeXt-T": 4.5}


@each_lineage
def test_a_lineage_begins_and_ends_at_presets_as_they_are(lineage: Lineage) -> None:
    first, last = lineage.steps[0], lineage.steps[-1]
    assert (first.preset, last.preset) == ENDS[lineage.name]
    assert (first.spec, last.spec) == tuple(models.spec(name) for name in ENDS[lineage.name])


@pytest.mark.parametrize("name", ["convnext", "efficientnet"])
def test_the_ends_have_torchvisions_parameters_and_multiply_accumulates(name: str) -> None:
    for step in (LINEAGES[name].steps[0], LINEAGES[name].steps[-1]):
        theirs = analyze(getattr(torchvision.models, models.preset(step.preset).torchvision or "")())
        found = footprint(step.spec)
        assert (found.params, found.macs) == (theirs.params, theirs.macs)


@each_lineage
def test_every_step_is_another_network_that_can_run(lineage: Lineage) -> None:
    found = [step.spec for step in lineage.steps]
    assert [lineage.place(spec) for spec in found] == list(range(len(found)))
    for step in lineage.steps:
        module = models.build(step.spec, device="meta")
        image = torch.empty(1, step.spec.in_channels, step.spec.image_size, step.spec.image_size, device="meta")
        assert module(image).shape == (1, 1000)
        assert models.spec(step.preset, **step.plain_knobs) == step.spec


def test_a_network_that_is_on_no_step_has_no_place() -> None:
    assert RESNET_TO_CONVNEXT.place(models.spec("vgg16")) is None


def test_the_way_to_convnext_computes_what_its_paper_says_at_every_step() -> None:
    found = {step.title: round(footprint(step.spec).macs / 1e9, 2) for step in RESNET_TO_CONVNEXT.steps}
    assert {title: found[title] for title in TABLE_10} == pytest.approx(TABLE_10, abs=0.011)
    assert {title: found[title] for title in FIGURE_2} == pytest.approx(FIGURE_2, abs=0.051)


@each_lineage
def test_sentences_end_and_say_where_they_were_published(lineage: Lineage) -> None:
    for step in lineage.steps:
        assert step.why.endswith(".")
        assert any(word in step.source for word in ("section", "table", "figure", "appendix"))


def test_single_edits_of_knobs_leave_the_rest_of_a_step_as_it_was() -> None:
    """From step to step within a preset, knobs are added or changed, never dropped."""
    for lineage in LINEAGES.values():
        for before, after in zip(lineage.steps, lineage.steps[1:-1], strict=False):
            if before.preset == after.preset:
                assert set(before.knobs) <= set(after.knobs)
