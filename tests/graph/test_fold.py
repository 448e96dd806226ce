"""Folding: every layer is drawn once, repeats once with their number, and the drawing keeps the ways of the data."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from torch import Tensor, nn

from explorer.figures.graph_dot import dot
from explorer.graph.fold import FoldedGraph, best_depth, fold, max_depth, runs
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import trace
from tests.support.layer_graphs import NETWORKS, graph_of
from tests.support.random_networks import RandomNetwork

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def reached(start: Iterable[str], edges: dict[str, set[str]]) -> set[str]:
    found, queue = set(start), list(start)
    while queue:
        new = edges.get(queue.pop(), set()) - found
        found |= new
        queue.extend(new)
    return found


def ways(folded: FoldedGraph, *, back: bool = False) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for edge in folded.edges:
        source, target = (edge.target, edge.source) if back else (edge.source, edge.target)
        found.setdefault(source, set()).add(target)
    return found


def repeats_of(folded: FoldedGraph, node_id: str) -> int:
    """How often what a node stands for is repeated, by its own label and those of the frames around it."""
    clusters = {cluster.id: cluster for cluster in folded.clusters}
    node = next(node for node in folded.nodes if node.id == node_id)
    times, around = node.times, node.cluster
    while around:
        times, around = times * clusters[around].times, clusters[around].parent
    return times


def assert_sound(graph: LayerGraph, folded: FoldedGraph) -> None:
    """Each layer in exactly one node; edges only where data flows; no cycle; all that data reaches is reached."""
    drawn = [name for node in folded.nodes for name in node.layers]
    assert sorted(drawn) == sorted(graph.by_id)
    assert folded.node_of == {name: node.id for node in folded.nodes for name in node.layers}
    flows = {(folded.node_of[source], folded.node_of[layer.id]) for layer in graph for source in layer.inputs}
    edges = {(edge.source, edge.target) for edge in folded.edges}
    assert edges <= flows
    assert len(edges) == len(folded.edges)
    for source, target in flows - edges:
        assert source == target or (repeats_of(folded, source) > 1 and repeats_of(folded, target) > 1)
    forward, backward = ways(folded), ways(folded, back=True)
    assert all(node.id not in reached(forward.get(node.id, set()), forward) for node in folded.nodes)
    everything = {node.id for node in folded.nodes}
    fed = {folded.node_of[name] for name in reached_layers(graph)}
    assert reached({folded.node_of[graph.layers[0].id]}, forward) == fed
    ends = {folded.node_of[layer.id] for layer in graph if not graph.consumers[layer.id]}
    assert reached(ends, backward) == everything


def reached_layers(graph: LayerGraph) -> set[str]:
    return reached({graph.layers[0].id}, {name: set(readers) for name, readers in graph.consumers.items()})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_holds_every_layer_once_and_keeps_the_ways(name: str) -> None:
    graph = graph_of(name)
    for depth in range(1, max_depth(graph) + 1):
        folded = fold(graph, depth)
        assert_sound(graph, folded)
        assert sum(node.param_count for node in folded.nodes) == sum(graph.parameter_sizes.values())


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed: int) -> None:
    network = RandomNetwork(seed)
    graph = trace(network, network.input_size).graph
    for depth in range(1, max_depth(graph) + 1):
        assert_sound(graph, fold(graph, depth))


@pytest.mark.parametrize("limit", [10, 30, 60, 200])
@pytest.mark.parametrize("name", ["resnet50", "vgg16", "googlenet", "torchvision:densenet121", "torchvision:vit_b_16"])
def test_the_best_depth_is_the_deepest_that_fits(name: str, limit: int) -> None:
    graph = graph_of(name)
    best = best_depth(graph, limit)
    sizes = {depth: len(fold(graph, depth).nodes) for depth in range(1, max_depth(graph) + 1)}
    assert best == max((depth for depth, size in sizes.items() if size <= limit), default=1)


def repeated(folded: FoldedGraph) -> list[tuple[str, int]]:
    return [(item.title, item.times) for item in (*folded.nodes, *folded.clusters) if item.times > 1]


def test_repeats_of_resnet50() -> None:
    """Each stage is one block that changes the size, and further ones that are all alike."""
    expected = [("1 · Bottleneck", 2), ("1 · Bottleneck", 3), ("1 · Bottleneck", 5), ("1 · Bottleneck", 2)]
    graph = graph_of("resnet50")
    assert repeated(fold(graph, 2)) == repeated(fold(graph, 3)) == expected
    node = next(node for node in fold(graph, 2).nodes if node.times == 5)
    assert {name.split(".")[1] for name in node.layers} == {"1", "2", "3", "4", "5"}
    assert node.param_count == 5 * (1024 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024))


@pytest.mark.parametrize(("name", "times"), [("vgg16", [2, 2, 3]), ("nin", [2, 2, 2])])
def test_repeats_of_plain_chains(name: str, times: list[int]) -> None:
    """Runs of convolution and rectifier that differ in nothing; the first of a stage has other channels."""
    assert [count for _, count in repeated(fold(graph_of(name), 2))][: len(times)] == times


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("abc", [(0, 1, 1), (1, 1, 1), (2, 1, 1)]),
        ("aaab", [(0, 1, 3), (3, 1, 1)]),
        ("xababab", [(0, 1, 1), (1, 2, 3)]),
        ("ababa", [(0, 1, 1), (1, 2, 2)]),
        ("", []),
    ],
)
def test_runs(items: str, expected: list[tuple[int, int, int]]) -> None:
    assert list(runs(list(items))) == expected


def test_a_failure_is_a_node_after_the_last_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(5, 4, 3))
    graph = trace(network, (3, 8, 8), partial=True).graph
    folded = fold(graph, 2)
    failed = [node for node in folded.nodes if node.failed]
    assert [node.title for node in failed] == ["2"]
    assert (folded.node_of["1"], failed[0].id) in {(edge.source, edge.target) for edge in folded.edges}


def test_a_failure_at_the_first_layer() -> None:
    folded = fold(trace(nn.Conv2d(5, 4, 3), (3, 8, 8), partial=True).graph)
    assert [node.kind for node in folded.nodes] == ["input", "failed"]
    assert len(folded.edges) == 1


# -- DOT --------------------------------------------------------------------------------------------------------------

HOSTILE = ['"]; evil [label="', "<script>alert(1)</script>", "<b>bold</b>", "back\\slash\\n", "\\", "ünï · 層", "{a|b}"]


class Hostile(nn.Module):
    """Modules by names that mean something in DOT or HTML."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({name: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for name in names})

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        return x


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_leave_their_label(name: str) -> None:
    """Between quotes every quote is escaped, and no label starts as HTML: so the source has the same statements as that
    of a network with plain names."""

    def statements(module_name: str) -> list[str]:
        folded = fold(trace(Hostile([module_name]), (3, 4, 4)).graph, 3)
        source = dot(folded)
        quoted = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
        assert not re.search(r"(label|tooltip)=<", source)
        bare = re.compile(r"(label|tooltip)=[^\s\"\]]+")
        return bare.sub(r'\1=""', quoted.sub('""', source)).splitlines()

    assert statements(name) == statements("plain")


@pytest.mark.parametrize("dark", [False, True])
def test_the_selected_layer_and_the_repeats_are_marked(dark: bool) -> None:
    graph = graph_of("resnet50")
    folded = fold(graph, 2)
    source = dot(folded, dark=dark, selected="layer3.4.conv2")
    assert source.count("penwidth=4") == 1
    assert "× 5" in source
    line = next(line for line in source.splitlines() if "penwidth=4" in line)
    assert line.split()[0] == folded.node_of["layer3.4.conv2"]
    assert "× 5" in line
