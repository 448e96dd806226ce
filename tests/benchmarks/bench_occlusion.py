"""Occlusion maps: regions alone against whole passes and the arithmetic limit, and both against captum's Occlusion.

In seconds of the processor on one thread, so that other load of the machine meets all alike.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
import torchvision
from captum.attr import Occlusion
from torch import Tensor, nn

import models
from explorer.analysis.incremental.batches import Position
from explorer.analysis.incremental.engine import reached_by
from explorer.analysis.incremental.reach import arithmetic_limit
from explorer.analysis.occluder import fill_values, square_boxes
from explorer.analysis.occlusion import OcclusionSettings, occlusion_map
from explorer.analysis.passes import TracedPasses
from explorer.analysis.sliding import FullSliding, Slide, Sliding, sliding
from explorer.graph.trace import trace
from tests.benchmarks.timing import Table, best_seconds

ROUNDS = 2
CAPTUM = {"one per forward (its default)": 1, "32 per forward": 32}
TUNED = (8, 16, 32)  # perturbations per forward


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def captum_map(
    module: nn.Module, image: Tensor, window: int, stride: int, target: int, per_forward: int
) -> Tensor:  # fmt: skip
    return Occlusion(lambda x: module(x).softmax(1)).attribute(
        image, (3, window, window), strides=(3, stride, stride), baselines=fill_values(image, "gray").expand_as(image),
        target=target, perturbations_per_eval=per_forward,
    )  # fmt: skip


# The goal as a share of the limit.
NETWORKS = {
    "vgg16": 0.65, "zfnet": 0.65, "googlenet": 0.65, "alexnet": 0.65, "squeezenet1_1": 0.65, "resnet18": 0.65,
    "resnet50": 0.65, "densenet121": 0.65, "mobilenet_v2": 0.8, "inception_v3": 0.8, "efficientnet_b0": 0.8,
    "convnext_tiny": 0.8,
}  # fmt: skip
WINDOW, STRIDE, SAMPLE = 16, 4, 32


def _network(name: str) -> tuple[nn.Module, int]:
    """The module and the side of its images in pixels."""
    if name == "zfnet":
        return models.build(name), 224
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    size_px = 299 if name == "inception_v3" else 224
    return torchvision.models.get_model(name, weights=None, **options).eval(), size_px


def _sample(batches: Sequence[Sequence[Position]]) -> list[list[Position]]:
    """Batches of the full size, drawn at random, with about SAMPLE positions in all."""
    full = [list(batch) for batch in batches if len(batch) == max(map(len, batches))]
    return random.Random(0).sample(full, min(len(full), max(1, SAMPLE // len(full[0]))))


def _work(way: Sliding, batches: Sequence[Sequence[Position]]) -> Callable[[], None]:
    def work() -> None:
        for batch in batches:
            for _ in way.run(batch):
                pass

    return work


@dataclass(frozen=True, eq=False)
class Slid:
    """Both ways over one network, with all positions of a map of squares of WINDOW px, STRIDE px apart."""

    module: nn.Module
    slide: Slide
    full: Sliding
    regions: Sliding
    limit: float
    auto: Sliding
    auto_s: float  # that it takes to be chosen, and to get ready

    @classmethod
    def over(cls, name: str) -> Slid:
        module, size_px = _network(name)
        program, image = trace(module, (3, size_px, size_px)), torch.randn(1, 3, size_px, size_px)
        network, squares = TracedPasses(program), square_boxes((size_px, size_px), WINDOW, STRIDE)
        slide = Slide(image, squares, fill_values(image, "gray"))
        levels = _levels(slide)
        limit = arithmetic_limit(program.graph, reached_by(program, squares))
        regions = sliding(network, slide, levels, "incremental")
        began = time.process_time()
        auto = sliding(network, slide, levels, "auto")
        took = time.process_time() - began
        return cls(module, slide, FullSliding(network, slide), regions, limit, auto, took)

    def seconds(self) -> tuple[float, float]:
        """What a position takes in whole passes, and by its region alone, in the mean over a sample."""
        chosen = [_sample(way.batches(_levels(self.slide), None)) for way in (self.full, self.regions)]
        works = [_work(way, batches) for way, batches in zip((self.full, self.regions), chosen, strict=True)]
        full, regions = best_seconds(works, ROUNDS, time.process_time)
        return full / sum(map(len, chosen[0])), regions / sum(map(len, chosen[1]))


def _levels(slide: Slide) -> list[list[Position]]:
    rows, columns = slide.squares.shape[:2]
    return [[(row, column) for row in range(rows) for column in range(columns)]]


@pytest.mark.parametrize("name", NETWORKS)
def test_regions_against_whole_passes(name: str, table: Table) -> None:
    slid = Slid.over(name)
    full, regions = slid.seconds()
    share, what = NETWORKS[name], f"{name}, window {WINDOW}, stride {STRIDE}"
    goal = f"≥ {share * slid.limit:.1f} ({share} of the limit {slid.limit:.1f}); is {full / regions / slid.limit:.2f}"
    table.against(what, f"{1 / regions:.1f} positions/s", f"{1 / full:.1f} in whole passes", full / regions, goal)
    count, is_full = slid.slide.squares[..., 0].size, isinstance(slid.auto, FullSliding)
    auto = (full if is_full else regions) + slid.auto_s / count
    taken = "whole passes" if is_full else "regions"
    table.against(f"  auto takes {taken}", f"{1 / auto:.1f} positions/s", "", full / auto, "≥ 0.97")


def test_vgg16_against_captum(table: Table) -> None:
    """A position takes Captum as long whatever is hidden: a coarse grid of large squares tells what one takes.

    More than Captum's time over that of the region's share of a whole pass is not to be had: the limit printed.
    """
    slid, side = Slid.over("vgg16"), 52
    image, count = slid.slide.image, square_boxes((224, 224), side, side)[..., 0].size
    full, regions = slid.seconds()
    works = {n: lambda n=n: captum_map(slid.module, image, side, side, 0, n) for n in (1, *TUNED)}
    took = {n: best_seconds([work], 1, time.process_time)[0] / count for n, work in works.items()}
    tuned = min(TUNED, key=lambda n: took[n])
    for n, goal in ((1, 15), (tuned, 6)):
        reference = f"{1 / took[n]:.1f} positions/s captum, {n} per forward"
        limit = f"≥ {goal} (limit of arithmetic {took[n] / full * slid.limit:.1f})"
        table.against(
            f"vgg16, {count} positions", f"{1 / regions:.1f} positions/s", reference, took[n] / regions, limit
        )


COMPACT = ("zfnet_mini", "vgg_mini", "nin_mini", "googlenet_mini", "resnet_mini")


@pytest.mark.parametrize(
    ("name", "size_px", "window", "stride"),
    [("resnet18", 224, 64, 40), *((name, 64, 12, 4) for name in COMPACT)],
)
def test_images_per_second(name: str, size_px: int, window: int, stride: int, table: Table) -> None:
    module, image = models.build(name), torch.randn(1, 3, size_px, size_px)
    program = trace(module, (3, size_px, size_px))
    settings = OcclusionSettings(window, stride)
    found = occlusion_map(program, image, settings=settings)  # and a first, slower run
    others = [lambda n=n: captum_map(module, image, window, stride, found.target, n) for n in CAPTUM.values()]
    mine, *theirs = best_seconds(
        [lambda: occlusion_map(program, image, settings=settings), *others], ROUNDS, time.process_time
    )
    count = found.probability.size
    for way, took in zip(CAPTUM, theirs, strict=True):
        what, reference = f"{name}, {size_px} px, {count} positions", f"{count / took:.1f} images/s captum, {way}"
        table.against(what, f"{count / mine:.1f} images/s", reference, took / mine, "> 1")
