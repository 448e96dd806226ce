"""Occlusion against Captum, a plain loop and networks whose answer is known; coverage of the image; bad settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from captum.attr import Occlusion
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import models
from explorer.analysis import passes
from explorer.analysis.activations import feature_maps
from explorer.analysis.occluder import fill_values, occlude
from explorer.analysis.occlusion import OcclusionMap, OcclusionSettings, occlusion_map, occlusion_steps
from explorer.errors import Cancelled, MemoryLimitError, UnknownNameError, UserError
from explorer.graph.trace import TracedProgram, trace
from explorer.run.execute import run
from explorer.run.plain import PlainNetwork


class Region(nn.Module):
    """Two classes: the first one's logit is the sum over a region of the picture, the other one's is 0."""

    def __init__(self, top: int, left: int, bottom: int, right: int) -> None:
        super().__init__()
        self.top, self.left, self.bottom, self.right = top, left, bottom, right

    def forward(self, x: Tensor) -> Tensor:
        total = x[:, :, self.top : self.bottom, self.left : self.right].sum((1, 2, 3))
        return torch.stack([0.1 * total, 0 * total], 1)


def convolutional(seed: int, kernel: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 5, kernel, stride=2), nn.BatchNorm2d(5), nn.ReLU(inplace=True),
        nn.Conv2d(5, 6, 2), nn.Sigmoid(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 7),
    ).eval()  # fmt: skip


def small(size: tuple[int, int] = (20, 24)) -> tuple[TracedProgram, Tensor]:
    return trace(convolutional(0), (3, *size)), torch.randn(1, 3, *size)


class Viewing(nn.Module):
    """A network that looks at memory as it lies: `view` refuses maps whose channels lie last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4 * 9 * 11, 5)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.head(maps.view(maps.shape[0], -1))


# -- Known answers ----------------------------------------------------------------------------------------------------


def test_the_map_of_a_region_is_known() -> None:
    """On an image of ones with fill 0, each occluded pixel of the region takes 0.1 off the logit."""
    program = trace(Region(4, 8, 12, 18), (1, 20, 24))
    found = occlusion_map(
        program, torch.ones(1, 20, 24), 0, OcclusionSettings((6, 4), (5, 3), fill_value=torch.zeros(1))
    )
    assert found.shape == (4, 8)
    for row, column in np.ndindex(found.shape):
        top, left, bottom, right = found.box(row, column)
        hidden = max(0, min(bottom, 12) - max(top, 4)) * max(0, min(right, 18) - max(left, 8))
        assert found.probability[row, column] == pytest.approx(1 / (1 + np.exp(-0.1 * (80 - hidden))), rel=1e-6)
    assert found.baseline == pytest.approx(1 / (1 + np.exp(-8)), rel=1e-6)
    top, left, bottom, right = found.box(*found.lowest)
    assert (min(bottom, 12) - max(top, 4), min(right, 18) - max(left, 8)) == (6, 4)


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.tuples(st.integers(1, 16), st.integers(1, 16)), st.integers(1, 9), st.integers(1, 7))
def test_the_map_is_that_of_a_plain_loop(seed: int, window: tuple[int, int], stride: int, batch: int) -> None:
    module, image = convolutional(seed), torch.randn(3, 16, 18)
    slid = OcclusionSettings(window, (stride + 2, stride), layer="3", batch_size=batch)
    found = occlusion_map(trace(module, (3, 16, 18)), image, settings=slid)
    gray = fill_values(image, "gray")[0]
    with torch.no_grad():
        clean = module[:4](image[None]).sum((2, 3))[0]  # type: ignore[index]
        for row, column in np.ndindex(found.shape):
            top, left, bottom, right = found.box(row, column)
            picture = image.clone()
            picture[:, top:bottom, left:right] = gray
            expected = module(picture[None]).softmax(1)[0]
            assert found.probability[row, column] == pytest.approx(expected[found.target].item(), abs=1e-6)
            assert found.top_probability[row, column] == pytest.approx(expected.max().item(), abs=1e-6)
            assert expected[found.top_class[row, column]] == expected.max()
            total = module[:4](picture[None])[0, found.channel].sum().item()  # type: ignore[index]
            assert found.activation is not None
            assert found.activation[row, column] == pytest.approx(total, abs=1e-4)
    assert found.channel == clean.argmax()
    assert found.baseline_activation == pytest.approx(clean.max().item(), abs=1e-4)


@pytest.mark.parametrize(("window", "stride"), [((5, 6), (5, 6)), ((8, 6), (4, 3))])
def test_captum_finds_the_same(window: tuple[int, int], stride: tuple[int, int]) -> None:
    """Captum gives each pixel the mean drop over the squares that cover it; from our map we get the same."""
    module, image = convolutional(3), torch.randn(1, 3, 20, 24)
    found = occlusion_map(trace(module, (3, 20, 24)), image, settings=OcclusionSettings(window, stride, "gray"))
    attribution = Occlusion(lambda x: module(x).softmax(1)).attribute(
        image, (3, *window), strides=(3, *stride), baselines=fill_values(image, "gray").expand_as(image),
        target=found.target, perturbations_per_eval=8,
    )[0, 0]  # fmt: skip
    drop, count = np.zeros((20, 24)), np.zeros((20, 24))
    for row, column in np.ndindex(found.shape):
        top, left, bottom, right = found.box(row, column)
        drop[top:bottom, left:right] += found.baseline - found.probability[row, column]
        count[top:bottom, left:right] += 1
    np.testing.assert_allclose(drop / count, attribution.detach().numpy(), atol=1e-6)


def test_a_network_that_views_its_maps_runs_on_images_as_they_are() -> None:
    torch.manual_seed(0)
    module, image = Viewing().eval(), torch.randn(1, 3, 20, 24)
    found = occlusion_map(trace(module, (3, 20, 24)), image, 2, OcclusionSettings(8, 6, "mean"))
    with torch.no_grad():
        alone = module(occlude(image, found.box(1, 2), "mean")).softmax(1)[0, 2]
        with pytest.raises(RuntimeError, match="view"):
            module(image.contiguous(memory_format=torch.channels_last))
    assert found.probability[1, 2] == pytest.approx(float(alone), abs=1e-6)


def test_resnet_in_batches_agrees_with_single_pictures() -> None:
    module, image = torchvision.models.resnet18(num_classes=9).eval(), torch.randn(1, 3, 64, 64)
    program = trace(module, (3, 64, 64))
    maps = [
        occlusion_map(program, image, settings=OcclusionSettings(24, 20, "blur", "layer4.1.relu#2", batch_size=n))
        for n in (1, 4)
    ]
    np.testing.assert_allclose(maps[0].probability, maps[1].probability, atol=1e-6)
    assert maps[0].activation is not None
    assert maps[1].activation is not None
    np.testing.assert_allclose(maps[0].activation, maps[1].activation, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["0", "3", "layer1.0.conv2", "layer3.1.relu#2", "layer4"])
@pytest.mark.parametrize("fill", ["gray", "blur"])
def test_incremental_maps_are_the_full_ones(fill: Any, layer: str) -> None:
    """Of a layer near the input, where only regions are computed, and of one where they have become the whole map."""
    torch.manual_seed(1)
    module = convolutional(1) if layer.isdecimal() else torchvision.models.resnet18(num_classes=9).eval()
    program, image = trace(module, (3, 64, 72)), torch.randn(1, 3, 64, 72)
    full, incremental = (
        occlusion_map(program, image, settings=OcclusionSettings((9, 12), 14, fill, layer, method))
        for method in ("full", "incremental")
    )
    assert (full.target, full.channel, full.baseline) == (incremental.target, incremental.channel, incremental.baseline)
    np.testing.assert_allclose(incremental.probability, full.probability, rtol=1e-4)
    np.testing.assert_allclose(incremental.top_probability, full.top_probability, rtol=1e-4)
    np.testing.assert_array_equal(incremental.top_class, full.top_class)
    assert full.activation is not None
    assert incremental.activation is not None
    np.testing.assert_allclose(incremental.activation, full.activation, rtol=1e-4, atol=1e-3)


def test_what_has_no_graph_cannot_be_run_incrementally() -> None:
    network = PlainNetwork(convolutional(0))
    with pytest.raises(UserError, match="method='incremental' needs a network that can be traced"):
        occlusion_map(network, torch.randn(3, 20, 24), settings=OcclusionSettings(8, 8, method="incremental"))


@pytest.mark.parametrize("fill", ["gray", "mean", "blur"])
def test_occlude_shows_what_the_map_saw(fill: Any) -> None:
    program, image = small()
    found = occlusion_map(program, image, settings=OcclusionSettings(7, 6, fill))
    with torch.no_grad():
        seen = convolutional(0)(occlude(image, found.box(1, 2), fill)).softmax(1)
    assert found.probability[1, 2] == pytest.approx(seen[0, found.target].item(), abs=1e-6)


# -- As it fills in ---------------------------------------------------------------------------------------------------


def test_every_position_is_visited_once_coarse_ones_first() -> None:
    program, image = small()
    counts: list[int] = []
    for found in occlusion_steps(program, image, settings=OcclusionSettings(4, 4, batch_size=1)):
        counts.append(int(found.done.sum()))
        assert np.isnan(found.probability[~found.done]).all()
        assert (found.top_class[~found.done] == -1).all()
        if len(counts) == 5:
            assert set(zip(*np.nonzero(found.done), strict=True)) == {(0, 0), (0, 4), (4, 0), (4, 4)}
    assert counts == list(range(31))
    assert found.done.all()


def test_progress_counts_to_the_end() -> None:
    program, image = small()
    seen: list[tuple[int, int, float]] = []
    occlusion_map(
        program, image, settings=OcclusionSettings(4, 4, batch_size=8), progress=lambda *now: seen.append(now)
    )
    assert [done for done, _, _ in seen] == [8, 16, 24, 30]
    assert {total for _, total, _ in seen} == {30}
    assert all(left > 0 for _, _, left in seen[:-1])
    assert seen[-1][2] == 0


def test_cancel_stops_between_layers() -> None:
    program, image = small()
    asked: list[None] = []

    def cancel() -> bool:
        asked.append(None)
        return len(asked) > 40

    with pytest.raises(Cancelled):
        occlusion_map(program, image, settings=OcclusionSettings(2, 2, batch_size=4), cancel=cancel)
    assert len(asked) == 41


@pytest.mark.parametrize(
    ("name", "largest_macs"), [("vgg16", 64 * 64 * 9 * 224**2), ("alexnet", 192 * 64 * 25 * 27**2)]
)
def test_no_layer_of_a_batch_takes_long_on_the_cpu(name: str, largest_macs: int) -> None:
    """A cancel waits for the layer that runs, so a batch is as large as keeps its largest layer within the limit."""
    with torch.device("meta"):
        program = trace(torchvision.models.get_model(name).eval(), (3, 224, 224))
    batch = passes.TracedPasses(program).batch_size(torch.empty(1, 3, 224, 224))
    assert batch * largest_macs <= passes.BATCH_MACS["cpu"] < (batch + 1) * largest_macs


def test_the_batch_fits_in_memory_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    program, image = small()
    sizes: list[int] = []
    monkeypatch.setattr(passes, "run", lambda program, images, **rest: (
        sizes.append(len(images)) or run(program, images, **rest)))  # fmt: skip
    occlusion_map(program, image, settings=OcclusionSettings(2, 1))
    assert max(sizes) == passes.BATCH_IMAGES
    sizes.clear()
    largest = max(sum(np.prod(s) for s in (*layer.input_shapes, *layer.outputs)) for layer in program.graph)
    monkeypatch.setattr(passes, "BATCH_BYTES", int(4 * largest * 5))
    occlusion_map(program, image, settings=OcclusionSettings(2, 1))
    assert max(sizes) == 5


def at_most(monkeypatch: pytest.MonkeyPatch, images: int, error: Exception) -> list[int]:
    """Let passes of more images fail; the list that is returned fills with the sizes of those that do not."""
    sizes: list[int] = []

    def limited(program: TracedProgram, given: Tensor, **rest: Any) -> Any:
        if len(given) > images:
            raise error
        sizes.append(len(given))
        return run(program, given, **rest)

    monkeypatch.setattr(passes, "run", limited)
    return sizes


NO_ROOM = [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", NO_ROOM)
def test_where_memory_does_not_suffice_batches_are_halved(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    program, image = small()
    asked = OcclusionSettings(4, 4, method="full", batch_size=12)
    expected = occlusion_map(program, image, settings=asked)
    sizes = at_most(monkeypatch, 3, error)
    found = occlusion_map(program, image, settings=asked)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-5)
    assert sizes == [1, *[3] * 10]  # the picture without a square, and 30 positions


@pytest.mark.parametrize(
    ("error", "raised", "says"),
    [
        (NO_ROOM[0], MemoryLimitError, "single position"),
        (RuntimeError("a kernel failed"), RuntimeError, "kernel failed"),
    ],
)
def test_what_does_not_fit_at_all_is_said_and_other_errors_pass(
    error: Exception, raised: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, image = small()
    steps = occlusion_steps(program, image, settings=OcclusionSettings(4, 4, method="full"))
    at_most(monkeypatch, 0, error)
    with pytest.raises(raised, match=says):
        list(steps)


# -- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"window": 21}, "window=21x21 .*20x24"),
        ({"window": (4, 25)}, "window=4x25"),
        ({"window": 0}, "window=0"),
        ({"stride": 0}, "stride=0"),
        ({"stride": (2, -1)}, r"stride=\(2, -1\)"),
        ({"fill": "black"}, "fill='black'.*gray, mean, blur"),
        ({"target": 7}, "target=7.*0 to 6"),
        ({"target": -1}, "target=-1"),
        ({"method": "fast"}, "method='fast'.*auto, full, incremental"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"fill_value": torch.zeros(2)}, r"fill_value.*\[1, 2, 1, 1\]"),
    ],
)
def test_bad_settings_are_named(arguments: dict[str, Any], says: str) -> None:
    program, image = small()
    target = arguments.pop("target", None)
    with pytest.raises(UserError, match=says):
        occlusion_map(program, image, target, OcclusionSettings(**{"window": 4, "stride": 4, **arguments}))


def test_an_unknown_layer_and_a_batch_are_refused() -> None:
    program, image = small()
    with pytest.raises(UnknownNameError, match="'conv5'"):
        occlusion_map(program, image, settings=OcclusionSettings(4, layer="conv5"))
    with pytest.raises(UserError, match="one image"):
        occlusion_map(program, image.repeat(2, 1, 1, 1), settings=OcclusionSettings(4))


@pytest.mark.parametrize(
    ("preset", "layer"),
    [("convnext_mini", "features.1.0.block.4"), ("vit_mini", "encoder.layers.encoder_layer_0.mlp.1")],
)
def test_sums_are_those_of_the_strongest_map_however_the_layer_is_laid_out(preset: str, layer: str) -> None:
    """Channels last, and tokens: as the feature maps show them."""
    network = models.build(preset)
    program, image = trace(network, (3, 64, 64)), torch.rand(1, 3, 64, 64)
    totals = feature_maps(program, image, layer).sum((1, 2))
    found = occlusion_map(program, image, settings=OcclusionSettings(64, 64, layer=layer))
    assert found.channel == totals.argmax()
    assert found.baseline_activation == pytest.approx(totals.max().item(), rel=1e-5)


class Fragile(nn.Module):
    """NaN as soon as the corner is hidden."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.mean((1, 2, 3)), (x[:, 0, 0, 0] - 1.0).sqrt()], 1)


def test_positions_that_are_not_finite_are_flagged_and_never_lowest() -> None:
    image = torch.full((1, 1, 6, 6), 2.0)
    program = trace(Fragile(), (1, 6, 6))
    found = occlusion_map(program, image, 0, OcclusionSettings(3, 3, fill_value=torch.zeros(1)))
    assert not found.is_finite
    assert np.isnan(found.probability).tolist() == [[True, False], [False, False]]
    assert found.top_class[0, 0] == -1
    assert found.lowest != (0, 0)
    with pytest.raises(UserError, match="not finite"):
        occlusion_map(program, image * 0, 0, OcclusionSettings(3, 3))


def test_an_empty_map_has_a_lowest_position() -> None:
    program, image = small()
    found = next(occlusion_steps(program, image, settings=OcclusionSettings(4, 4)))
    assert isinstance(found, OcclusionMap)
    assert (found.lowest, found.is_finite) == ((0, 0), True)
