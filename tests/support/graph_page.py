"""A page with a graph alone, for the browser's tests: ?network=NAME, "hostile", "broken", "outgrown" or "chain"."""

from __future__ import annotations

from typing import Any

import streamlit as st
from torch import nn

import explorer
import models
from explorer.analysis.structure import Analysis
from explorer.analysis.unproductive import outgrown_image
from explorer.figures.graph_payload import graph_payload
from explorer.graph.layers import LayerGraph
from explorer.ui.components.graph import layer_graph
from tests.oracles.light_models import torchvision_model

HOSTILE = "<img src=x onerror=alert(1)>\"'&]]>"


def hostile() -> nn.Module:
    """Names of modules and classes that would be markup if anyone took them for it."""
    kind = type("</script><script>alert(2)</script>", (nn.Sequential,), {})
    return nn.Sequential(nn.Conv2d(3, 4, 3), kind(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2))).append(named())


def named() -> nn.Module:
    inner = nn.Sequential()
    inner.add_module(HOSTILE.replace(".", ""), nn.Conv2d(4, 4, 1))
    inner.add_module("${1}`", nn.ReLU())
    inner.add_module("pool", nn.AvgPool2d(2))
    return inner


def chain(layers: int) -> nn.Module:
    """One module of very many layers, no two of which are alike."""
    widths = [3 + i * i % 101 for i in range(layers + 1)]
    return nn.Sequential(*(nn.Conv2d(a, b, 1, device="meta") for a, b in zip(widths, widths[1:], strict=False)))


def analysis_of(name: str) -> Analysis:
    if name == "hostile":
        return explorer.analyze(hostile(), (3, 32, 32))
    if name == "broken":
        inner = nn.Sequential(nn.ReLU(), nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 4, 1)))
        return explorer.analyze(nn.Sequential(nn.Conv2d(3, 4, 1), inner), (3, 8, 8), partial=True)
    if name == "outgrown":  # fields of 3, 5, 7 and 8 px; the third convolution's input sees all of 5
        convs = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        return explorer.analyze(nn.Sequential(*convs, nn.MaxPool2d(2)), (3, 5, 5))
    if name == "chain":
        return explorer.analyze(chain(5000), (3, 1, 1))
    library, _, bare = name.rpartition(":")
    return explorer.analyze(torchvision_model(bare) if library else models.build(name, device="meta"))


@st.cache_resource
def shown(name: str) -> tuple[dict[str, Any], LayerGraph]:
    """What the graph draws of a network, and the network's own graph."""
    analysis = analysis_of(name)
    return graph_payload(analysis, title=name, outgrown=outgrown_image(analysis)), analysis.graph


def page() -> None:
    st.set_page_config(layout="wide")
    told, name = st.session_state, st.query_params.get("network", "resnet50")
    st.text_input("Choose", key="choose")
    payload, graph = shown(name)
    layer_graph(
        payload,
        key="graph",
        selected=told.get("picked") if told.get("picked") and not told["choose"] else told["choose"] or None,
        pick=lambda layer: told.update(picked=layer),
        metrics={"Latency": {"layer1.0.conv1": 1.5}},
        fold=st.query_params.get("fold", ""),
        on_fold=lambda text: told.update(folded=text),
        height="640px",
        figure=graph,
    )
    if beside := st.query_params.get("beside"):
        layer_graph(payload, key="first", sync="two", height="400px")
        marks = {"conv1": "changed", "fc": "removed", "layer2.0.conv1": "added"}
        layer_graph(graph_payload(analysis_of(beside), marks=marks), key="second", sync="two", height="400px")
    st.code(f"picked {told.get('picked')}\nfold {told.get('folded')}", language=None)


if __name__ == "__main__":
    page()
