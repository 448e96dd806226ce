"""Answers and accuracy with parts switched off, against the same computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import models
from explorer.analysis.ablation import Ablation
from explorer.analysis.ablation_effect import answers, hits
from explorer.errors import Cancelled
from explorer.graph.trace import TracedProgram, trace


@pytest.fixture
def resnet() -> TracedProgram:
    return trace(models.build("resnet_mini", seed=3), (3, 64, 64))


def test_without_the_residual_branch_only_the_skip_is_left(resnet: TracedProgram) -> None:
    image = torch.randn(3, 64, 64)
    found = answers(resnet, image, [Ablation("layer1.0.add", (), ("layer1.0.bn2",))])
    with torch.inference_mode():
        assert torch.allclose(found.whole, resnet.module(image[None]).double().softmax(1)[0], atol=1e-6)
        norm = resnet.module.get_submodule("layer1.0.bn2")
        assert isinstance(norm, nn.BatchNorm2d)
        norm.weight.zero_()
        norm.bias.zero_()
        assert torch.allclose(found.ablated, resnet.module(image[None]).double().softmax(1)[0], atol=1e-6)
    assert not torch.allclose(found.whole, found.ablated)


def test_with_nothing_off_both_answers_are_one(resnet: TracedProgram) -> None:
    found = answers(resnet, torch.randn(3, 64, 64), ())
    assert torch.equal(found.whole, found.ablated)
    assert found.leading(3) == found.whole.topk(3).indices.tolist()
    assert len(found.leading(100)) == len(found.whole)


def test_the_maps_are_those_of_the_network_with_the_filters_set_to_0(resnet: TracedProgram) -> None:
    image, seen = torch.randn(3, 64, 64), list[Tensor]()
    found = answers(resnet, image, [Ablation("conv1", (0, 2))], layer="layer2.0.conv1")
    first, watched = (resnet.module.get_submodule(name) for name in ("conv1", "layer2.0.conv1"))
    assert isinstance(first, nn.Conv2d)
    watched.register_forward_hook(lambda _module, _args, output: seen.append(output[0]))
    with torch.inference_mode():
        resnet.module(image[None])
        first.weight[[0, 2]] = 0
        resnet.module(image[None])
    assert found.maps is not None
    for maps, expected in zip(found.maps, seen, strict=True):
        torch.testing.assert_close(maps, expected)
    assert not found.maps[0].equal(found.maps[1])


class Sums(nn.Module):
    """Its classes are the sums of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.keep = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.keep(x).sum((2, 3))


def test_hits_are_counted_over_batches_and_fall_without_the_right_channels() -> None:
    program = trace(Sums().eval(), (3, 4, 4))
    images = torch.zeros(130, 3, 4, 4)
    labels = torch.arange(130) % 3
    images[torch.arange(130), labels] = 1.0
    told: list[int] = []
    assert hits(program, images, labels, progress=told.append) == 130
    assert told == [50, 100, 130]
    assert hits(program, images, labels, [Ablation("keep", (1, 2))]) == int((labels == 0).sum())


def test_judging_stops_where_it_is_told_to(resnet: TracedProgram) -> None:
    with pytest.raises(Cancelled):
        hits(resnet, torch.randn(60, 3, 64, 64), torch.zeros(60, dtype=torch.long), cancel=lambda: True)
