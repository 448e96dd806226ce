"""A folded layer graph as Graphviz DOT, in colours that read in the light and in the dark theme."""

from __future__ import annotations

from collections.abc import Iterable

import graphviz

from explorer.figures import layer_words
from explorer.graph import ops
from explorer.graph.fold import Cluster, FoldedGraph, Node
from explorer.types import Shape

# Okabe-Ito hues, told apart by the colour-blind; the label names the operation as well.
_GROUPS: tuple[tuple[str, frozenset[str]], ...] = (
    ("#0072B2", frozenset({"conv", "conv1d", "conv_transpose"})),
    ("#CC79A7", frozenset({"linear", "matmul", "attention", "softmax"})),
    ("#E69F00", frozenset({"max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool", "adaptive_max_pool"})),
    ("#009E73", frozenset(ops.ACTIVATIONS)),
    ("#56B4E9", frozenset({"add", "mul", "concat", "sub", "div", "stack"})),
    ("#D55E00", frozenset({"failed", "unknown"})),
)
_OTHER = "#8A8F98"  # norms, reshapes, closed modules
_THEMES = {
    "light": {"text": "#1F2430", "line": "#6B7280", "fill": "#FFFFFF", "frame": "#C9CED6"},
    "dark": {"text": "#E8EAED", "line": "#9AA3B2", "fill": "#1B2029", "frame": "#414A59"},
}


def dot(folded: FoldedGraph, *, dark: bool = False, selected: str | None = None) -> str:
    """DOT source: one box per node with its output shape, frames around opened modules, ×N on repeats.

    `selected` is the id of a layer whose node is drawn with a thick border.
    """
    theme = _THEMES["dark" if dark else "light"]
    graph = graphviz.Digraph()
    graph.attr(bgcolor="transparent", nodesep="0.25", ranksep="0.3")
    graph.attr("node", shape="box", style="filled,rounded", fontname="Helvetica", fontsize="12", margin="0.14,0.07",
               fillcolor=theme["fill"], fontcolor=theme["text"], penwidth="1.6")  # fmt: skip
    graph.attr("edge", color=theme["line"], fontcolor=theme["line"], fontname="Helvetica", fontsize="10",
               arrowsize="0.6")  # fmt: skip
    chosen = folded.node_of.get(selected or "")
    _fill(graph, "", folded, chosen, theme)
    for edge in folded.edges:
        graph.edge(edge.source, edge.target, tooltip=_shape(edge.shape))
    return graph.source


def _fill(graph: graphviz.Digraph, frame: str, folded: FoldedGraph, chosen: str | None, theme: dict[str, str]) -> None:
    """The nodes and frames directly inside one frame."""
    for node in _inside(folded.nodes, frame):
        graph.node(
            node.id,
            label=_label(node),
            color=kind_colour(node.kind),
            penwidth="4" if node.id == chosen else "1.6",
            tooltip=graphviz.escape(f"{', '.join(node.layers[:1]) or node.title}: {node.param_count:,} parameters"),
        )
    for cluster in folded.clusters:
        if cluster.parent == frame:
            inner = graphviz.Digraph(name=f"cluster_{cluster.id}")
            inner.attr(label=_cluster_label(cluster), color=theme["frame"], fontcolor=theme["text"],
                       style="rounded,dashed" if cluster.times > 1 else "rounded", fontname="Helvetica",
                       fontsize="11", labeljust="l")  # fmt: skip
            _fill(inner, cluster.id, folded, chosen, theme)
            graph.subgraph(inner)


def _inside(nodes: Iterable[Node], frame: str) -> Iterable[Node]:
    return (node for node in nodes if node.cluster == frame)


def _label(node: Node) -> str:
    lines = [" · ".join(part for part in (node.title, _operation(node)) if part)]
    if node.times > 1:
        lines[0] += f"  × {node.times}"
    if node.failed:
        lines.append("cannot run")
    if node.output_shape:
        lines.append(_shape(node.output_shape))
    return "\\n".join(graphviz.escape(line) for line in lines)


def _operation(node: Node) -> str:
    """What a layer does, with its window: conv 7×7 /2."""
    if node.kind in ("module", "failed", "input"):
        return ""
    return layer_words.operation("" if node.title.partition("#")[0] == node.kind else node.kind, node.window)


def _cluster_label(cluster: Cluster) -> str:
    return graphviz.escape(cluster.title + (f"  × {cluster.times}" if cluster.times > 1 else ""))


def _shape(shape: Shape) -> str:
    """Without the batch: 64 × 56 × 56."""
    return " × ".join(map(str, shape[1:])) or "scalar"


def kind_colour(kind: str) -> str:
    """The colour of a layer's kind, #rrggbb: one for each group of kinds."""
    return next((colour for colour, kinds in _GROUPS if kind in kinds), _OTHER)


def tint(colour: str, share: float = 0.22) -> str:
    """So much of a colour #rrggbb on white."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)
