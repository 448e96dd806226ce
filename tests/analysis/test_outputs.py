"""What a network's end means, against PyTorch's own values: one forward of the module, and a loop of occluded ones."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import explorer
from explorer.analysis.activations import predict, top_classes
from explorer.analysis.occluder import occlude
from explorer.analysis.outputs import Ends, read
from explorer.errors import UserError
from explorer.graph.trace import trace

IMAGE = torch.randn(3, 12, 14, generator=torch.Generator().manual_seed(0))


class Headed(nn.Module):
    """A convolution and a linear layer, whose features and values a function turns into what the network returns."""

    def __init__(self, classes: int, end: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, classes)
        nn.init.normal_(self.head.weight, std=2)
        self.end = end

    def forward(self, x: Tensor) -> Any:
        maps = self.conv(x).relu()
        return self.end(maps, self.head(maps.mean((2, 3))))


Pair = namedtuple("Pair", ["maps", "scores"])


@dataclass
class Answer:
    maps: Tensor
    scores: Tensor


class ModelOutput(OrderedDict[str, Any]):
    """As Hugging Face's: a dict whose entries are attributes as well."""


def assert_is_loop(found: explorer.OcclusionMap, expected: Callable[[Tensor], Tensor]) -> None:
    """Whether the map is that of one pass after the other; expected: image [1, C, H, W] to [classes]."""
    with torch.no_grad():
        clean = expected(IMAGE[None])
        assert found.baseline == pytest.approx(float(clean[found.target]), abs=1e-5)
        assert found.baseline_class == int(clean.argmax())
        for row, column in np.ndindex(found.shape):
            answer = expected(occlude(IMAGE[None], found.box(row, column)))
            assert found.probability[row, column] == pytest.approx(float(answer[found.target]), abs=1e-5)
            assert found.top_class[row, column] == int(answer.argmax())
    assert np.ptp(found.probability) > 1e-3


# What the network returns of its maps and values, how many classes, and how its own output is a probability.
ENDS: dict[str, tuple[int, Callable[[Tensor, Tensor], Any], Callable[[Any], Tensor], str]] = {
    "one logit": (1, lambda _, z: z, torch.sigmoid, "sigmoid"),
    "one logit, squeezed": (1, lambda _, z: z.squeeze(1), lambda y: y[:, None].sigmoid(), "sigmoid"),
    "one sigmoid": (1, lambda _, z: z.sigmoid(), lambda y: y, "probabilities"),
    "sigmoids": (5, lambda _, z: torch.sigmoid(z), lambda y: y, "probabilities"),
    "sigmoids in place": (5, lambda _, z: z.sigmoid_().reshape(-1, 5), lambda y: y, "probabilities"),
    "two heads of sigmoids": (4, lambda _, z: torch.cat([z[:, :2].sigmoid(), z[:, 2:].sigmoid()], 1), lambda y: y,
                              "probabilities"),
    "logits": (5, lambda _, z: z, lambda y: y.softmax(1), "softmax"),
    "logits of a full convolution": (5, lambda _, z: z[..., None, None], lambda y: y.flatten(1).softmax(1), "softmax"),
    "softmax": (5, lambda _, z: F.softmax(z, dim=1), lambda y: y, "probabilities"),
    "softmax by hand": (5, lambda _, z: z.exp() / z.exp().sum(1, keepdim=True), lambda y: y, "probabilities"),
    "a mean of softmaxes": (5, lambda _, z: torch.stack([z.softmax(1), (2 * z).softmax(1)]).mean(0), lambda y: y,
                            "probabilities"),
    "both classes of one sigmoid": (1, lambda _, z: torch.cat([1 - z.sigmoid(), z.sigmoid()], 1), lambda y: y,
                                    "probabilities"),
    "log_softmax": (5, lambda _, z: F.log_softmax(z, dim=1), torch.exp, "probabilities"),
    "logarithms of a softmax": (5, lambda _, z: z.softmax(1).log(), torch.exp, "probabilities"),
    "logsigmoid": (5, lambda _, z: F.logsigmoid(z), torch.exp, "probabilities"),
    "rectified": (5, lambda _, z: z.relu(), lambda y: y.softmax(1), "softmax"),
    "twice a sigmoid": (5, lambda _, z: z.sigmoid() * 2, lambda y: y.softmax(1), "softmax"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_the_end_is_found_out_and_said(name: str) -> None:
    classes, end, probability, how = ENDS[name]
    network = Headed(classes, end).eval()
    found = explorer.occlusion_map(network, IMAGE, window=5, stride=4)
    assert (found.output, found.tensor, found.precision) == (how, "", "float32")
    assert_is_loop(found, lambda image: probability(network(image))[0])


@pytest.mark.parametrize("name", ENDS)
def test_predictions_follow_the_same(name: str) -> None:
    classes, end, probability, how = ENDS[name]
    network = Headed(classes, end).eval()
    with torch.no_grad():
        best = probability(network(IMAGE[None]))[0].topk(min(3, classes) if how != "probabilities" else 1)
    found = predict(trace(network, (3, 12, 14)), IMAGE, k=len(best.values))
    assert [index for index, _ in found.classes] == best.indices.tolist()
    np.testing.assert_allclose([value for _, value in found.classes], best.values, atol=1e-6)
    assert found.output == how


# -- What a person says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "asked", "expected", "said"),
    [
        (lambda _, z: z, "sigmoid", torch.sigmoid, "sigmoid"),
        (lambda _, z: z, "softmax", lambda y: y.softmax(1), "softmax"),
        (lambda _, z: z, "logits", lambda y: y, "logits"),
        (lambda _, z: z.softmax(1), "softmax", lambda y: y, "probabilities"),
        (lambda _, z: z.softmax(1), "logits", lambda y: y, "logits"),
        (lambda _, z: z.sigmoid(), "sigmoid", lambda y: y, "probabilities"),
        (lambda _, z: z.sigmoid(), "softmax", lambda y: y.softmax(1), "softmax"),
        (lambda _, z: z.sigmoid(), "probabilities", lambda y: y, "probabilities"),
        (lambda _, z: z.log_softmax(1), "softmax", torch.exp, "probabilities"),
        (lambda _, z: z.log_softmax(1), "logits", lambda y: y, "logits"),
        (lambda _, z: z.relu().clamp(max=1), "probabilities", lambda y: y, "probabilities"),
    ],
)
def test_what_is_said_is_done_where_the_network_has_not_done_it(
    end: Any, asked: Any, expected: Callable[[Tensor], Tensor], said: str
) -> None:
    network = Headed(5, end).eval()
    found = explorer.occlusion_map(network, IMAGE, target=2, window=5, stride=4, output=asked)
    assert found.output == said
    with torch.no_grad():
        assert found.baseline == pytest.approx(float(expected(network(IMAGE[None]))[0, 2]), abs=1e-6)
        seen = expected(network(occlude(IMAGE[None], found.box(1, 1))))[0, 2]
    assert found.probability[1, 1] == pytest.approx(float(seen), abs=1e-6)


def test_what_cannot_be_is_refused_by_name() -> None:
    network = Headed(5, lambda _, z: z).eval()
    with pytest.raises(UserError, match="output='tanh' is not one of softmax, sigmoid, probabilities, logits"):
        explorer.occlusion_map(network, IMAGE, window=5, output="tanh")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"output='probabilities': the values of this network are from -\d"):
        explorer.occlusion_map(network, IMAGE, window=5, output="probabilities")


def test_an_output_alone_is_read_by_its_values() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0]])
    assert top_classes(logits).classes[0] == (2, pytest.approx(float(logits.softmax(1)[0, 2])))
    assert top_classes(logits.softmax(1)).classes[0] == (2, pytest.approx(float(logits.softmax(1)[0, 2])))
    assert top_classes(logits, output="sigmoid").classes[0] == (2, pytest.approx(float(logits.sigmoid()[0, 2])))
    assert top_classes(logits[0, :1]).classes == ((0, pytest.approx(float(logits[0, 0].sigmoid()))),)
    assert top_classes(logits, output="logits").classes == ((2, 2.0), (0, pytest.approx(0.3)), (1, -1.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_precision_is_said(dtype: torch.dtype) -> None:
    network = Headed(5, lambda _, z: z.softmax(1)).eval().to(dtype)
    found = explorer.occlusion_map(network, IMAGE.to(dtype), window=5, stride=4)
    assert (found.output, found.precision) == ("probabilities", str(dtype).removeprefix("torch."))
    with torch.no_grad():
        assert found.baseline == pytest.approx(float(network(IMAGE[None].to(dtype))[0, found.target]), abs=1e-6)


# -- Which tensor -----------------------------------------------------------------------------------------------------

STRUCTURES: dict[str, tuple[Callable[[Tensor, Tensor], Any], Callable[[Any], Tensor], str]] = {
    "tuple": (lambda maps, z: (maps, z), lambda y: y[1], "[1]"),
    "list": (lambda maps, z: [maps, z], lambda y: y[1], "[1]"),
    "dict": (lambda maps, z: {"features": maps, "logits": z}, lambda y: y["logits"], "logits"),
    "nested": (lambda maps, z: {"a": [maps, (maps, z)]}, lambda y: y["a"][1][1], "a[1][1]"),
    "named tuple": (Pair, lambda y: y.scores, "scores"),
    "dataclass": (Answer, lambda y: y.scores, "scores"),
    "model output": (lambda maps, z: ModelOutput(loss=None, hidden=maps, logits=z), lambda y: y["logits"], "logits"),
    "logits by name": (lambda maps, z: {"scores": z - 1, "logits": 2 * z}, lambda y: y["logits"], "logits"),
    "pooled features first": (lambda maps, z: with_features(maps.mean((2, 3)), z), lambda y: y[1], "[1]"),
    "auxiliary values last": (lambda maps, z: (z, maps.amax((2, 3))[:, :5]), lambda y: y[0], "[0]"),
    "a loss beside them": (lambda maps, z: (z.square().mean(), z), lambda y: y[1], "[1]"),
    "a value of the state beside them": (lambda maps, z: (maps.mean((2, 3))[:, :1], z), lambda y: y[1], "[1]"),
}  # fmt: skip


def with_features(pooled: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Features, and values of classes that are computed from them."""
    return pooled, z + 0 * pooled[:, :1]


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_values_of_classes_are_found_in_what_a_network_returns(name: str) -> None:
    end, scores, tensor = STRUCTURES[name]
    network = Headed(5, end).eval()
    found = explorer.occlusion_map(network, IMAGE, window=5, stride=4)
    assert (found.tensor, found.output) == (tensor, "softmax")
    assert_is_loop(found, lambda image: scores(network(image)).softmax(1)[0])


class Embedding(nn.Module):
    """Returns pooled features, from which its values come, before these."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 40, 3), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(x).relu().mean((2, 3))
        return features, self.head(F.normalize(features))


def test_pooled_features_are_not_taken_for_classes() -> None:
    network = Embedding().eval()
    found = explorer.occlusion_map(network, IMAGE, window=5, stride=4)
    assert found.tensor == "[1]"
    assert found.target < 5
    assert_is_loop(found, lambda image: network(image)[1].softmax(1)[0])


@pytest.mark.parametrize(
    ("end", "listed"),
    [
        (lambda maps, _: maps, r"returns its output \[1, 6, 10, 12\]: nothing of the form \[1, classes\]"),
        (lambda maps, z: {"out": maps, "classes": z.argmax(1, keepdim=True)}, r"out \[1, 6, 10, 12\], classes \[1, 1"),
        (lambda maps, _: (maps, maps.flatten(2)), r"\[0\] \[1, 6, 10, 12\], \[1\] \[1, 6, 120\]"),
    ],
)
def test_a_network_without_classes_is_refused_and_its_outputs_are_listed(end: Any, listed: str) -> None:
    network = Headed(5, end).eval()
    for refused in (lambda: explorer.occlusion_map(network, IMAGE, window=5),
                    lambda: predict(trace(network, (3, 12, 14)), IMAGE)):  # fmt: skip
        with pytest.raises(UserError, match=listed) as caught:
            refused()
        assert len(str(caught.value)) < 300


def test_a_segmentation_network_of_torchvision_is_refused() -> None:
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    with pytest.raises(UserError, match=r"out \[1, 21, 64, 64\]"):
        explorer.occlusion_map(network, torch.randn(3, 64, 64), window=32)


# -- How it is found out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [torch.no_grad, torch.inference_mode])
def test_operations_are_seen_in_scripts_and_in_inference_mode(how: Any) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3), nn.Sigmoid())
    with pytest.warns(FutureWarning):
        scripted = torch.jit.trace(network.eval(), IMAGE[None])
    either: list[Any] = [network, scripted]
    for module in either:
        with how(), Ends() as ends:
            returned = module(IMAGE[None])
        assert read(returned, 1, ends).output == "probabilities"


def test_long_ways_back_to_the_end_are_short_work() -> None:
    """Every product reads two that read the same two: 2^200 ways."""
    with Ends() as ends:
        value = torch.rand(1, 4).sigmoid()
        for _ in range(200):
            value = torch.stack([value.clone(), value.clone()]).mean(0)
    assert read(value, 1, ends).output in ("softmax", "probabilities")


def test_the_last_map_of_a_pyramid_is_no_value_per_class_though_it_has_one_position() -> None:
    maps = {"0": torch.zeros(2, 8, 4, 4), "pool": torch.zeros(2, 8, 1, 1)}
    with pytest.raises(UserError, match="there is no class to take"):
        read(maps, 2)
    assert read((torch.zeros(2, 8, 4, 4), torch.zeros(2, 3)), 2).path == (1,)
