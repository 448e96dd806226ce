"""A network's layers as Graphviz draws them on a page: ?network=NAME, or none for a page with two nodes."""

from __future__ import annotations

import graphviz
import streamlit as st

from explorer.graph.layers import LayerGraph
from tests.support.graph_page import analysis_of


def dot_of(graph: LayerGraph) -> str:
    """DOT of every layer and edge, without frames or figures."""
    drawing = graphviz.Digraph(node_attr={"shape": "box"})
    for place, layer in enumerate(graph):
        drawing.node(str(place), f"{layer.id}\\n{layer.kind}".replace('"', ""))
    places = {layer.id: str(place) for place, layer in enumerate(graph)}
    for layer in graph:
        for source in layer.inputs:
            drawing.edge(places[source], places[layer.id])
    return drawing.source


@st.cache_resource
def source_of(name: str) -> str:
    return dot_of(analysis_of(name).graph) if name else "digraph { a -> b }"


if __name__ == "__main__":
    st.graphviz_chart(source_of(st.query_params.get("network", "")), width="content")
