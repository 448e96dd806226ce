"""The trunk of a network: layers that every path leads through, one before each convolution or linear layer."""

from __future__ import annotations

import pytest

from explorer.analysis.trunk import trunk
from explorer.graph.layers import LayerGraph
from explorer.networks import catalog


def is_passed(graph: LayerGraph, name: str) -> bool:
    """Whether no path from the image to the output avoids a layer, by walking them."""
    queue, seen = [graph.layers[0].id], {name}
    while queue:
        if (layer := queue.pop()) not in seen:
            seen.add(layer)
            queue += graph.consumers[layer]
    return not set(graph.outputs) & (seen - {name})


@pytest.mark.parametrize(
    "name", ["zfnet", "resnet18", "googlenet_mini", "densenet_mini", "vit_mini", "inception_v3_mini"]
)
def test_every_path_leads_through_each_layer(name: str) -> None:
    graph = catalog.find(name).analysis().graph
    found, places = trunk(graph), [layer.id for layer in graph]
    assert 3 <= len(found) <= 8
    assert [name for name in found if not is_passed(graph, name)] == []
    assert sorted(found, key=places.index) == list(found)


def test_zfnets_are_the_papers_layers_1_to_7() -> None:
    """Behind the pool of layers 1, 2 and 5, behind the rectifier of the others (figure 3 of the paper)."""
    graph = catalog.find("zfnet").analysis().graph
    found = trunk(graph)
    assert [graph[name].output_shape[1] for name in found] == [96, 256, 384, 384, 256, 4096, 4096]
    assert [graph[name].output_shape[2:] for name in found] == [(55, 55), (13, 13), (13, 13), (13, 13), (6, 6), (), ()]


def test_of_many_the_first_and_the_last_are_kept() -> None:
    graph = catalog.find("resnet50").analysis().graph
    assert len(every := trunk(graph, 100)) > 16
    few = trunk(graph, 5)
    assert (few[0], few[-1], len(few)) == (every[0], every[-1], 5)
    assert set(few) <= set(every)
    assert trunk(graph, 1) == every[:1]
