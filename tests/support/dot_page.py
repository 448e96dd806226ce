"""A network as Graphviz draws it on a page: ?network=NAME&writer=…, or without a name a page with two nodes."""

from __future__ import annotations

from collections.abc import Callable

import graphviz
import streamlit as st
import torch
import torchview

import models
from tests.support.graph_page import analysis_of


def layers_dot(name: str) -> str:
    """DOT of every layer and edge, without frames or figures."""
    graph = analysis_of(name).graph
    drawing = graphviz.Digraph(node_attr={"shape": "box"})
    for place, layer in enumerate(graph):
        drawing.node(str(place), f"{layer.id}\\n{layer.kind}".replace('"', ""))
    places = {layer.id: str(place) for place, layer in enumerate(graph)}
    for layer in graph:
        for source in layer.inputs:
            drawing.edge(places[source], places[layer.id])
    return drawing.source


def torchview_dot(name: str) -> str:
    """DOT as torchview writes it with every module opened and framed."""
    module = models.build(name, device="meta").eval()
    drawn = torchview.draw_graph(module, torch.empty(1, 3, 224, 224), depth=99, expand_nested=True, device="meta")
    return drawn.visual_graph.source


WRITERS: dict[str, Callable[[str], str]] = {"our layers": layers_dot, "torchview": torchview_dot}


@st.cache_resource
def source_of(name: str, writer: str) -> str:
    return WRITERS[writer](name) if name else "digraph { a -> b }"


if __name__ == "__main__":
    asked = st.query_params
    st.graphviz_chart(source_of(asked.get("network", ""), asked.get("writer", "our layers")), width="content")
