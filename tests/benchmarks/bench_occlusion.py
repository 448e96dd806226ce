"""Occlusion maps, against captum's Occlusion with the same squares."""

from __future__ import annotations

import pytest
import torch
from captum.attr import Occlusion
from torch import Tensor, nn

import models
from explorer.analysis.occluder import fill_values
from explorer.analysis.occlusion import OcclusionSettings, occlusion_map
from explorer.graph.trace import trace
from tests.benchmarks.timing import Table, best_seconds

ROUNDS = 2
CAPTUM = {"one per forward (its default)": 1, "32 per forward": 32}


def captum_map(module: nn.Module, image: Tensor, window: int, stride: int, target: int, per_forward: int) -> Tensor:
    return Occlusion(lambda x: module(x).softmax(1)).attribute(
        image, (3, window, window), strides=(3, stride, stride), baselines=fill_values(image, "gray").expand_as(image),
        target=target, perturbations_per_eval=per_forward,
    )  # fmt: skip


COMPACT = ("zfnet_mini", "vgg_mini", "nin_mini", "googlenet_mini", "resnet_mini")


@pytest.mark.parametrize(
    ("name", "size_px", "window", "stride"), [("resnet18", 224, 64, 40), *((name, 64, 12, 4) for name in COMPACT)]
)
def test_images_per_second(name: str, size_px: int, window: int, stride: int, table: Table) -> None:
    module, image = models.build(name), torch.randn(1, 3, size_px, size_px)
    program = trace(module, (3, size_px, size_px))
    settings = OcclusionSettings(window, stride)
    found = occlusion_map(program, image, settings=settings)  # and a first, slower run
    others = [lambda n=n: captum_map(module, image, window, stride, found.target, n) for n in CAPTUM.values()]
    mine, *theirs = best_seconds([lambda: occlusion_map(program, image, settings=settings), *others], ROUNDS)
    count = found.probability.size
    for way, took in zip(CAPTUM, theirs, strict=True):
        what, reference = f"{name}, {size_px} px, {count} positions", f"{count / took:.1f} images/s captum, {way}"
        table.against(what, f"{count / mine:.1f} images/s", reference, took / mine, "> 1")
