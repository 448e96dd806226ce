"""What layers answer to many images: as the layers themselves do, and nothing is left switched on between batches."""

from __future__ import annotations

import torch
from torch import nn

from explorer.analysis.layer_features import features_of
from explorer.graph.trace import trace


def test_each_batch_is_as_the_layer_answers_and_its_reader_may_use_gradients() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    images = torch.randn(40, 3, 8, 8)
    sizes = list[int]()
    for returned, maps in features_of(trace(module, (3, 8, 8)), images, ["0"]):
        assert not torch.is_inference_mode_enabled()
        assert torch.equal(returned, maps["0"].relu())
        sizes.append(len(maps["0"]))
    assert sizes == [32, 8]
