"""Where squares reach: single windows against a plain loop, whole networks against published and known figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.incremental.batches import Extents, computed_shares
from explorer.analysis.incremental.engine import reached_by
from explorer.analysis.incremental.reach import arithmetic_limit
from explorer.analysis.incremental.spans import Span
from explorer.analysis.occluder import square_boxes
from explorer.graph.layers import Window
from explorer.graph.trace import TracedProgram, trace

# What a count by another program gave for squares of 16 px, 4 px apart.
LIMITS = {
    "vgg16": 9.1, "googlenet": 4.0, "alexnet": 3.6, "squeezenet1_1": 3.4, "resnet18": 2.8, "resnet50": 2.7,
    "densenet121": 2.3, "mobilenet_v2": 2.2, "inception_v3": 1.9, "convnext_tiny": 1.4,
}  # fmt: skip


@given(
    st.integers(1, 20), st.integers(0, 19), st.integers(1, 20),
    st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4),
)  # fmt: skip
def test_a_window_reads_a_span_where_a_plain_loop_says(
    size: int, first: int, length: int, kernel: int, stride: int, dilation: int, padding: int
) -> None:
    outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if outputs < 1:
        return
    window = Window((kernel, 1), (stride, 1), (dilation, 1), (padding, 0))
    span = Span.within(np.array([first]), np.array([first + length]), size).through(window, 0, outputs)
    changed = range(max(first, 0), min(first + length, size))
    reads = [range(o * stride - padding, o * stride - padding + dilation * (kernel - 1) + 1) for o in range(outputs)]
    hit = [
        o for o, read in enumerate(reads) if len(changed) and read.start < changed.stop and changed.start < read.stop
    ]
    assert (int(span.first[0]), int(span.stop[0])) == ((hit[0], hit[-1] + 1) if hit else (outputs, 0))


def traced(name: str) -> tuple[TracedProgram, np.ndarray]:
    size = 299 if name == "inception_v3" else 224
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        module = torchvision.models.get_model(name, weights=None, **options).eval()
    return trace(module, (3, size, size)), square_boxes((size, size), 16, 4)


@pytest.mark.parametrize("name", LIMITS)
def test_the_arithmetic_limit_is_the_known_one(name: str) -> None:
    program, squares = traced(name)
    assert arithmetic_limit(program.graph, reached_by(program, squares)) == pytest.approx(LIMITS[name], abs=0.06)


def test_batches_hold_every_position_once_and_lose_little_of_the_limit() -> None:
    program, squares = traced("vgg16")
    regions = reached_by(program, squares)
    every = [(row, column) for row in range(len(squares)) for column in range(squares.shape[1])]
    batches = Extents.of(program.graph, regions).packed(every, 32)
    assert sorted(at for batch in batches for at in batch) == every
    assert max(map(len, batches)) == 32
    lost = {}
    for how, found in {"packed": batches, "in order": [every[i : i + 32] for i in range(0, len(every), 32)]}.items():
        shares = computed_shares(regions, found)
        lost[how] = sum(shares[name] / region.share for name, region in regions.items()) / len(regions)
    assert lost["packed"] - 1 < 0.7 * (lost["in order"] - 1)


def test_the_share_that_a_batch_computes_is_that_of_its_largest_region() -> None:
    program, squares = traced("resnet18")
    regions = reached_by(program, squares)
    batches = [[(0, 0), (20, 5)], [(30, 30)]]
    region, shares = regions["layer2.0.conv2"], computed_shares(regions, batches)
    rows, columns = region.rows.lengths, region.columns.lengths
    first = max(rows[0], rows[20]) * max(columns[0], columns[5]) / 28**2
    assert shares["layer2.0.conv2"] == pytest.approx((2 * first + rows[30] * columns[30] / 28**2) / 3)
    assert shares["layer4.1.conv2"] == 1
