"""The outline: every layer in one leaf, every edge kept, no circle at any fold, units and repeats as counted."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from torch import Tensor, nn

from explorer.graph.layers import LayerGraph
from explorer.graph.outline import Entry, LayerOutline, outline
from explorer.graph.trace import trace
from tests.support.layer_graphs import NETWORKS, graph_of
from tests.support.random_networks import RandomNetwork

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def children(found: LayerOutline) -> dict[int, list[int]]:
    inside: dict[int, list[int]] = {i: [] for i in range(len(found.entries))}
    for i, entry in enumerate(found.entries[1:], start=1):
        inside[entry.parent].append(i)
    return inside


def assert_sound(graph: LayerGraph, found: LayerOutline) -> None:
    assert sorted(layer.id for layer in found.order) == sorted(graph.by_id)
    place = {layer.id: i for i, layer in enumerate(found.order)}
    assert len(set(found.edges)) == len(found.edges)
    assert set(found.edges) == {(place[source], place[layer.id]) for layer in graph for source in layer.inputs}
    for i, inside in children(found).items():
        assert_tiled(found.entries[i], [found.entries[c] for c in inside])
        assert_without_circle(found, inside)


def assert_tiled(entry: Entry, inside: list[Entry]) -> None:
    """What is inside an entry covers it without gap or double; each copy of a repeat is as long as the first."""
    if entry.role == "layer":
        assert not inside
        assert entry.stop == entry.start + 1
        return
    assert [child.start for child in inside] == [entry.start, *(child.stop for child in inside[:-1])]
    assert inside[-1].stop == entry.stop
    if entry.role == "repeat":
        assert len(inside) == entry.times * entry.period
        sizes = [child.stop - child.start for child in inside]
        assert sizes == sizes[: entry.period] * entry.times


def assert_without_circle(found: LayerOutline, inside: list[int]) -> None:
    of = {place: i for i in inside for place in range(found.entries[i].start, found.entries[i].stop)}
    sorter: TopologicalSorter[int] = TopologicalSorter({i: [] for i in inside})
    for source, target in found.edges:
        if source in of and target in of and of[source] != of[target]:
            sorter.add(of[target], of[source])
    sorter.prepare()  # raises CycleError


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_in_one_leaf_and_every_edge_is_kept(name: str) -> None:
    graph = graph_of(name)
    assert_sound(graph, outline(graph))


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed: int) -> None:
    network = RandomNetwork(seed)
    graph = trace(network, network.input_size).graph
    assert_sound(graph, outline(graph))


def roles(found: LayerOutline, role: str) -> list[Entry]:
    return [entry for entry in found.entries if entry.role == role]


def test_units_of_resnet50() -> None:
    """Each of the 53 convolutions with its norm, its rectifier unless the add comes first; 16 adds with theirs."""
    found = outline(graph_of("resnet50"))
    kinds = [tuple(layer.kind for layer in found.order[unit.start : unit.stop]) for unit in roles(found, "unit")]
    assert kinds.count(("conv", "batch_norm", "relu")) == 1 + 2 * 16
    assert kinds.count(("conv", "batch_norm")) == 16 + 4
    assert kinds.count(("add", "relu")) == 16
    assert len(kinds) == 53 + 16


def test_units_of_a_densenet_end_in_their_convolution() -> None:
    """He et al. 2016b and Huang et al. 2017: norm and rectifier come first."""
    found = outline(graph_of("densenet121"))
    inside = [unit for unit in roles(found, "unit") if ".denselayer" in unit.path]
    assert len(inside) == 2 * (6 + 12 + 24 + 16)
    for unit in inside:
        assert [layer.kind for layer in found.order[unit.start : unit.stop]] == ["batch_norm", "relu", "conv"]
        assert found.order[unit.main].kind == "conv"


def test_repeats_of_resnet50() -> None:
    repeats = roles(outline(graph_of("resnet50")), "repeat")
    assert [(repeat.path, repeat.times) for repeat in repeats] == [
        ("layer1.1", 2), ("layer2.1", 3), ("layer3.1", 5), ("layer4.1", 2)
    ]  # fmt: skip


def test_a_module_that_holds_one_thing_is_that_thing() -> None:
    found = outline(graph_of("googlenet"))
    (branch,) = [entry for entry in found.entries if entry.path == "inception3a.branch1"]
    assert branch.role == "unit"
    assert branch.title == "branch1"
    assert [layer.id for layer in found.order[branch.start : branch.stop]] == [
        "inception3a.branch1.conv", "inception3a.branch1.bn", "inception3a.branch1.act"
    ]  # fmt: skip


class Shared(nn.Module):
    """One block before and after another."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool2d(1))
        self.between = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.between(self.block(x)))


def test_a_module_that_is_used_before_and_after_another_is_drawn_twice() -> None:
    graph = trace(Shared(), (3, 8, 8)).graph
    found = outline(graph)
    assert_sound(graph, found)
    assert [entry.path for entry in roles(found, "group")] == ["", "block", "between", "block"]


class Wrong(nn.Module):
    """Its second convolution takes more channels than there are."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.stem(x))


def test_what_fails_stands_last_in_its_module() -> None:
    found = outline(trace(Wrong(), (3, 8, 8), partial=True).graph)
    last = found.order[-1]
    assert (last.kind, last.id, last.scope) == ("failed", "body.1", "body")
    assert (found.order.index(last) - 1, found.order.index(last)) in found.edges


def test_a_module_of_very_many_things_is_drawn_in_parts() -> None:
    widths = [3 + i * i % 101 for i in range(402)]
    flat = nn.Sequential(*(nn.Conv2d(a, b, 1) for a, b in zip(widths, widths[1:], strict=False)))
    graph = trace(flat, (3, 4, 4)).graph
    found = outline(graph)
    assert_sound(graph, found)
    parts = [entry for entry in found.entries if entry.parent == 0]
    assert len(parts) == 21
    assert (parts[0].title, parts[-1].title) == ("input … 18", "399 … 400")
