"""Images that excite a unit most: stronger than any real picture, repeatable, and without a trace on the network."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import explorer
from explorer.analysis.optimised_image import OptimisationSettings, OptimisedImage, optimise_units
from explorer.atlas.optimisation import optimisation_settings
from explorer.graph.trace import TracedProgram, trace
from explorer.networks import catalog
from explorer.run.execute import first_tensor, run
from explorer.training.unseen import unseen_items

SIZE = (3, 24, 24)
LAYERS = ["features.2", "features.16", "classifier.6"]


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3)
    ).eval()


def optimised(program: TracedProgram, layer: str, *units: Any, **settings: Any) -> list[OptimisedImage]:
    return optimise_units(program, layer, list(units), OptimisationSettings(**{"steps": 24, **settings}))


@pytest.fixture(scope="module")
def zfnet() -> catalog.LoadedNetwork:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu")


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return unseen_items(120, 64).images


@pytest.mark.parametrize("layer", LAYERS)
def test_it_excites_a_unit_more_than_any_real_picture(
    zfnet: catalog.LoadedNetwork, pictures: Tensor, layer: str
) -> None:
    maps = first_tensor(run(zfnet.program, pictures, until=layer).output).flatten(2 if "feat" in layer else 1)
    strongest = maps.amax((0, 2)) if maps.dim() == 3 else maps.amax(0)
    settings = optimisation_settings(zfnet.preprocessing, steps=256)
    found = optimise_units(zfnet.program, layer, [(channel, None) for channel in range(2)], settings)
    for each in found:
        assert each.after > 1.1 * float(strongest[each.channel])
        assert each.after > each.before


def test_a_position_is_excited_for_itself_and_its_image_is_changed_where_it_sees(
    zfnet: catalog.LoadedNetwork,
) -> None:
    settings = optimisation_settings(zfnet.preprocessing, steps=64)
    (found,) = optimise_units(zfnet.program, "features.6", [(3, (2, 12))], settings)
    normalised = (found.image[None] - torch.tensor(settings.mean).view(3, 1, 1)) / torch.tensor(settings.std).view(
        3, 1, 1
    )
    assert float(explorer.feature_maps(zfnet.module, normalised, "features.6")[3, 2, 12]) == pytest.approx(
        found.after, rel=1e-4
    )
    contrast = found.image.std(0)
    assert float(contrast[:24, 32:].mean()) > 2 * float(contrast[40:, :24].mean())


def test_a_filter_without_a_rectifier_fills_the_image_with_its_edge() -> None:
    edges = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False)).eval()
    edges[0].weight.data = torch.tensor([[[[-1.0, 0.0, 1.0]] * 3]])
    (found,) = optimised(trace(edges, (1, 32, 32)), "0", (0, None), steps=128)
    inside = edges(found.image[None]).detach()[0, 0, 8:24, 8:24]
    assert float(inside.max()) > 0.4 * found.after  # and not along the border alone, where padding makes an edge


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    program = trace(small(), SIZE)
    first, again, other = (optimised(program, "4", (1, None), seed=seed)[0] for seed in (7, 7, 8))
    assert torch.equal(first.image, again.image)
    assert first.after == again.after
    assert float((first.image - other.image).abs().max()) > 0.05


def test_units_of_one_run_do_not_know_of_each_other() -> None:
    program = trace(small(), SIZE)
    together = optimised(program, "4", (0, None), (1, None), (1, (0, 0)))
    for each in together:
        (alone,) = optimised(program, "4", (each.channel, each.position))
        torch.testing.assert_close(alone.image, each.image, rtol=1e-3, atol=1e-3)


def test_values_are_those_of_a_picture_and_the_activation_is_the_networks() -> None:
    module = small()
    (found,) = optimised(trace(module, SIZE), "4", (2, None), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2))
    assert found.image.shape == SIZE
    assert 0 <= float(found.image.min()) < float(found.image.max()) <= 1
    given = (found.image - torch.tensor([0.4, 0.5, 0.6])[:, None, None]) / torch.tensor([0.2, 0.3, 0.2])[:, None, None]
    assert found.after == pytest.approx(module(given[None]).detach()[0, 2].max().item(), rel=1e-5)


def test_a_cancel_ends_it_and_leaves_the_module_as_it_was() -> None:
    module = small().train()
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    next(module.parameters()).requires_grad_(False)
    before = copy.deepcopy(module)
    asked = iter(range(10_000))
    with pytest.raises(explorer.Cancelled):
        explorer.optimised_image(module, "4", 0, input_size=SIZE, cancel=lambda: next(asked) > 40)
    assert next(asked) < 60
    assert all(one.training == other.training for one, other in zip(module.modules(), before.modules(), strict=True))
    for (name, one), other in zip(module.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    for one, other in zip(module.parameters(), before.parameters(), strict=True):
        assert one.requires_grad == other.requires_grad
        assert one.grad is not None
        assert torch.equal(one.grad, torch.ones_like(one))


def test_progress_comes_after_every_step() -> None:
    told = list[tuple[int, int]]()
    explorer.optimised_image(
        small(), "4", 0, input_size=SIZE, steps=5, progress=lambda done, total, left: told.append((done, total))
    )
    assert told == [(done, 5) for done in range(1, 6)]


def test_a_unit_that_is_shut_for_the_noise_wakes() -> None:
    brightness = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(inplace=True)).eval()
    with torch.no_grad():
        brightness.get_parameter("0.weight").fill_(1 / 3)
        brightness.get_parameter("0.bias").fill_(-0.6)  # near gray, as the noise is, the rectifier is 0 everywhere
    (found,) = optimised(trace(brightness, SIZE), "1", (0, None), steps=64)
    assert found.before == 0
    assert found.after > 0.3


class _Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach() * 2


@pytest.mark.parametrize(
    ("module", "changes", "said"),
    [
        (small, {"channel": 6}, "channel=6: layer '4' has channels 0 to 5"),
        (small, {"position": (9, 0)}, "position=(9, 0): the maps of layer '4' are 4×4"),
        (small, {"steps": 0}, "steps=0 is not from 1 to 4,096"),
        (small, {"mean": (0.5, 0.5)}, "mean=(0.5, 0.5) has 2 values, for an image of 3 channels"),
        (small, {"colours": torch.eye(2)}, "colours: of shape [2, 2], for an image of 3 channels"),
        (small, {"layer": "5"}, "5"),
        (lambda: nn.Sequential(*small(), _Detached()), {"layer": "5"}, "no gradient leads from it to the image"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(module: Any, changes: dict[str, Any], said: str) -> None:
    given = {"layer": "4", "channel": 0, "input_size": SIZE, "steps": 2, **changes}
    with pytest.raises(explorer.UserError) as caught:
        explorer.optimised_image(module(), **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
