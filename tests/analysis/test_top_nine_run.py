"""What excites each channel most, of batches of pictures: against torch's own hooks, a picture at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import squeezenet1_1

from explorer.analysis.passes import open_network
from explorer.analysis.top_nine import NINE, TopNine
from explorer.analysis.top_nine_run import TopNineRun, layers_with_units, maxima, read_maps, scanned_layers
from explorer.errors import Cancelled, UnknownNameError, UserError
from explorer.graph.trace import TracedProgram, trace
from tests.support.toy_networks import Branching, Toy

LAYERS = ("features.0", "features.1", "features.3.squeeze", "features.4.expand3x3", "classifier.3")


@cache
def network() -> nn.Module:
    torch.manual_seed(0)
    return squeezenet1_1(num_classes=12).eval()


@cache
def program() -> TracedProgram:
    return trace(network(), (3, 64, 64))


@cache
def images() -> Tensor:
    return torch.randn(23, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@cache
def by_hooks() -> dict[str, Tensor]:
    """The outputs of LAYERS by torch alone, [N, channels, rows, columns]; those that are written into are copied."""
    kept, handles = dict[str, list[Tensor]](), list[torch.utils.hooks.RemovableHandle]()

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: kept.setdefault(name, []).append(output.clone())

    handles = [network().get_submodule(name).register_forward_hook(keep(name)) for name in LAYERS]
    with torch.no_grad():
        for image in images():
            network()(image[None])
    for handle in handles:
        handle.remove()
    return {name: torch.cat(found) for name, found in kept.items()}


def batches(size: int, order: np.ndarray) -> Iterator[tuple[Tensor, np.ndarray]]:
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        yield images()[numbers], numbers


def looked(size: int, order: np.ndarray) -> dict[str, TopNine]:
    run = TopNineRun(program(), LAYERS)
    for part, numbers in batches(size, order):
        run.look(part, numbers)
    return run.top


@pytest.mark.parametrize("size", [1, 5, 23])
def test_they_are_the_greatest_of_what_hooks_see(size: int) -> None:
    order = np.random.default_rng(size).permutation(23)
    for layer, top in looked(size, order).items():
        maps = by_hooks()[layer].flatten(2)
        assert top.channels == maps.shape[1]
        expected = maps.amax(2).sort(dim=0, descending=True).values[:NINE].T.numpy()
        np.testing.assert_allclose(top.values, expected, rtol=1e-4, atol=1e-5)
        at = top.rows * by_hooks()[layer].shape[3] + top.columns
        there = maps[top.pictures, np.arange(top.channels)[:, None], at].numpy()
        np.testing.assert_allclose(there, top.values, rtol=1e-4, atol=1e-5, err_msg="the values are at their places")
        assert all(len(set(row)) == NINE for row in top.pictures.tolist()), "nine distinct pictures"


def test_the_order_of_pictures_does_not_matter_nor_what_fills_a_batch() -> None:
    """Byte for byte, at one size of batch."""
    random, filled = np.random.default_rng(0), TopNineRun(program(), LAYERS)
    for part, numbers in batches(8, random.permutation(23)):
        filled.look(torch.cat([part, torch.full((8 - len(part), 3, 64, 64), 9.0)]), numbers)
    other = TopNineRun(program(), LAYERS)
    for part, numbers in batches(8, random.permutation(23)):
        other.look(torch.cat([part, torch.zeros(8 - len(part), 3, 64, 64)]), numbers)
    for layer in LAYERS:
        for name in ("values", "pictures", "rows", "columns"):
            np.testing.assert_array_equal(getattr(filled.top[layer], name), getattr(other.top[layer], name))


def test_the_maxima_of_each_picture_give_the_same_nine() -> None:
    order = np.arange(23)
    found = maxima(program(), images(), LAYERS)
    for layer, top in looked(23, order).items():
        values, places, columns = found[layer]
        again = TopNine.of_maxima(values, places, order, columns)
        for name in ("values", "pictures", "rows", "columns"):
            np.testing.assert_array_equal(getattr(again, name), getattr(top, name))


def test_only_what_the_layers_need_is_run() -> None:
    shown = list[str]()
    wanted = {name: lambda maps, name=name: shown.append(name) for name in LAYERS[:3]}
    profile = torch.autograd.profiler.profile()
    with profile:
        read_maps(program(), images()[:2], wanted)
    assert shown == list(LAYERS[:3])
    convolutions = sum(event.name == "aten::conv2d" for event in profile.function_events or [])
    assert convolutions == 2, "features.0 and the squeeze; not the other 24"


def test_layers_of_two_branches_are_both_run() -> None:
    shown = list[str]()
    names = ("features.3.expand1x1", "features.3.expand3x3")
    read_maps(program(), images()[:2], {name: lambda maps, name=name: shown.append(name) for name in names})
    assert sorted(shown) == sorted(names)


def test_a_network_that_was_exported_for_one_image_takes_many() -> None:
    found = trace(Branching().eval(), (3, 8, 8))
    inputs = torch.randn(5, 3, 8, 8)
    run = TopNineRun(found, layers_with_units(found.graph))
    run.look(inputs, np.arange(5))
    for top in run.top.values():
        assert {top.count(channel) for channel in range(top.channels)} == {5}


def test_a_batch_that_is_stopped_leaves_what_was_there() -> None:
    run = TopNineRun(program(), LAYERS)
    run.look(images()[:8], np.arange(8))
    before, asked = dict(run.top), iter([False] * 5 + [True])
    with pytest.raises(Cancelled):
        run.look(images()[8:16], np.arange(8, 16), cancel=lambda: next(asked))
    assert run.top == before


def test_layers_are_named_by_id_or_module_and_come_in_the_networks_order() -> None:
    graph = program().graph
    assert scanned_layers(graph, ["classifier.3", "features.3", "features.0", "features.3"])[::2] == (
        "features.0", "classifier.3"
    )  # fmt: skip
    everything = scanned_layers(graph, ["all"])
    assert graph.layers[0].id not in everything
    assert {*LAYERS} <= {*everything}
    units = layers_with_units(graph)
    assert set(units) < set(everything)
    assert units[-1] in graph.outputs


def test_what_has_no_maps_is_said_in_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="layer='conv9' is not a layer"):
        scanned_layers(program().graph, ["conv9"])

    class Volumes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, None].relu()

    volumes = trace(Volumes(), (3, 8, 8)).graph
    with pytest.raises(UserError, match=r"The network has no layer of feature maps to scan\."):
        layers_with_units(volumes)
    with pytest.raises(UserError, match="has no channels, rows and columns"):
        scanned_layers(volumes, [volumes.layers[-1].id])

    class Data(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if float(x.sum()) > 0 else x.relu()

    with pytest.raises(UserError, match="cannot be traced"):
        TopNineRun(open_network(Data(), (3, 8, 8)), ["relu"])


def test_the_module_is_left_as_it_was() -> None:
    module = Toy().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    inputs = torch.randn(3, 3, 8, 8)
    kept, found = inputs.clone(), trace(module, (3, 8, 8))
    run = TopNineRun(found, layers_with_units(found.graph))
    run.look(inputs, np.arange(3))
    assert torch.equal(inputs, kept)
    assert module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_pictures_that_are_not_finite_take_no_place_of_others_in_a_large_batch() -> None:
    values = torch.arange(30.0)
    values[[3, 8, 20]] = torch.tensor([torch.nan, torch.inf, torch.nan])
    run = TopNineRun(trace(nn.Sequential(nn.Identity(), nn.ReLU()), (1, 2, 2)), ["1"])
    run.look(values.view(30, 1, 1, 1).expand(30, 1, 2, 2), np.arange(30))
    assert run.top["1"].values[0].tolist() == [29, 28, 27, 26, 25, 24, 23, 22, 21]


def test_of_equal_pictures_in_a_large_batch_the_first_are_kept() -> None:
    run = TopNineRun(trace(nn.Sequential(nn.Identity(), nn.ReLU()), (1, 2, 2)), ["1"])
    run.look(torch.ones(30, 1, 2, 2), np.arange(30)[::-1].copy())
    assert run.top["1"].pictures[0].tolist() == list(range(9))
