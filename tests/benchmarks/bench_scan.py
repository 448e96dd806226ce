"""Scans of folders, and contact sheets."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.analysis.top_nine_run import layers_with_units
from explorer.atlas.patches import patches_and_projections
from explorer.atlas.picture_sets import FolderPictures, UnseenPictures
from explorer.atlas.scan import ScanJob, scan_steps
from explorer.atlas.shipped import shipped
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from explorer.training.dataset import draw_item
from tests.benchmarks.timing import Table, best_seconds, seconds
from tests.support.places import ROOT

PHOTO_PX = (500, 375)  # as most of ImageNet's
BATCH = 32


def save_photos(folder: Path, count: int) -> Path:
    """JPEG files of drawn pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [Image.fromarray(draw_item(0, number, 512).image).resize(PHOTO_PX) for number in range(8)]
    for number in range(count):
        drawn[number % 8].save(folder / f"{number:05}.jpg", quality=90)
    return folder


def loaded(name: str, weights: str | None = None) -> LoadedNetwork:
    return catalog.load(catalog.find(name), catalog.weights_source(name, weights))


@pytest.mark.parametrize(("name", "batches"), [("resnet18", 4), ("resnet50", 2), ("vgg16", 1)])
def test_a_scan_against_the_bare_forward_pass(name: str, batches: int, table: Table, tmp_path: Path) -> None:
    """In seconds of the processor, decoding included: other work beside it does not count."""
    network = loaded(name, "random")
    device = next(network.module.parameters()).device
    images = torch.randn(BATCH, *network.program.graph.layers[0].output_shape[1:], device=device)
    images = images.contiguous(memory_format=torch.channels_last if device.type == "cpu" else torch.contiguous_format)
    layers = layers_with_units(network.program.graph)
    pictures = FolderPictures(save_photos(tmp_path, batches * BATCH))
    job = ScanJob.of(name, network, pictures, layers, BATCH)

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                network.module.eval()(images).cpu()

    scanned, bare = best_seconds([lambda: list(scan_steps(job)), forward], 2, time.process_time)
    what = f"{name}, {len(layers)} layers, {len(pictures)} JPEG photos: forward pass / scan"
    table.against(what, seconds(scanned), f"{seconds(bare)} module(images)", bare / scanned, "≥ 0.9")


_SCAN = """
import resource, sys
from pathlib import Path
from explorer.cli.main import main
assert main(["scan", "zfnet_mini", sys.argv[1], "--batch", "32", "--every", "200", "--out", sys.argv[2]]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_folder(table: Table, tmp_path: Path) -> None:
    found = dict[int, float]()
    for count in (250, 2_500):
        pictures = save_photos(tmp_path / str(count), count)
        command = [sys.executable, "-c", _SCAN, str(pictures), str(tmp_path / f"out{count}")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found[count] = float(done.stdout.splitlines()[-1]) / 2**20
    for count, peak in found.items():
        table.alone(f"a scan of {count:,} photos: peak of memory", f"{peak:.0f} MiB")
    table.limit("the second beyond the first", max(found[2_500] - found[250], 0), 32, lambda mib: f"{mib:.0f} MiB")


@dataclass(frozen=True)
class Held(UnseenPictures):
    """The unseen pictures that a sheet needs, drawn once: as a page holds them."""

    def pixels(self, number: int) -> np.ndarray:
        return drawn(number)


@cache
def drawn(number: int) -> np.ndarray:
    return UnseenPictures().pixels(number)


@pytest.mark.parametrize(("name", "layer"), [("zfnet_mini", "features.10"), ("resnet_mini", "layer4.1.act2")])
def test_a_contact_sheet_with_projections(name: str, layer: str, table: Table) -> None:
    """64 units of nine projections each, against the forward and backward pass of 64 pictures."""
    network, top, pictures = loaded(name), shipped(name).of(layer), Held()
    images = torch.randn(64, 3, 64, 64, device=next(network.module.parameters()).device)

    def sheet() -> None:
        found = dict(patches_and_projections(network, pictures, top, layer, range(64)))
        assert sum(map(len, found.values())) == 9 * 64

    def forward_and_backward() -> None:
        network.module.eval()(images).sum().backward()

    ours, plain = best_seconds([sheet, forward_and_backward], 3, time.process_time)
    table.against(f"{name} {layer}: 64 × 9 patches and projections", seconds(ours),
                  f"{seconds(plain)} forward and backward of 64", ours / plain, "≤ 10")  # fmt: skip
