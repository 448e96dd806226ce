"""The networks whose layer graphs are tried, and the graph of each by its name."""

from __future__ import annotations

import models
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import trace
from tests.oracles.light_models import torchvision_model
from tests.support.preset_sizes import input_size

NETWORKS = [*models.presets(), "torchvision:densenet121", "torchvision:inception_v3", "torchvision:shufflenet_v2_x0_5",
            "torchvision:regnet_y_400mf", "torchvision:vit_b_16"]  # fmt: skip


def graph_of(name: str) -> LayerGraph:
    """Of a preset, or of `torchvision:NAME`, without allocating."""
    library, _, bare = name.rpartition(":")
    module = torchvision_model(bare) if library else models.build(name, device="meta")
    return trace(module, (3, 224, 224) if library else input_size(name, 224)).graph
