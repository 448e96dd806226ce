"""Layers by the names of modules: what a forward hook on the module sees, in torchvision's networks and hard ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import explorer
from explorer.errors import UnknownNameError
from explorer.graph.names import find_layer, module_outputs
from explorer.graph.trace import trace
from explorer.run.execute import first_tensor, run


def hooked(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What a forward hook on each module sees, by path; of those that are called once and return a tensor."""
    seen: dict[str, list[Any]] = {}
    handles = [
        module.register_forward_hook(lambda _m, _a, out, path=path: seen.setdefault(path, []).append(
            out.clone() if isinstance(out, Tensor) else out))
        for path, module in network.named_modules() if path
    ]  # fmt: skip
    with torch.no_grad():
        network(image)
    for handle in handles:
        handle.remove()
    return {path: values[0] for path, values in seen.items() if len(values) == 1 and isinstance(values[0], Tensor)}


NETWORKS = ["resnet18", "densenet121", "googlenet", "vgg11_bn", "inception_v3", "mobilenet_v3_small", "convnext_tiny"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_module_is_the_layer_that_a_hook_on_it_sees(name: str) -> None:
    torch.manual_seed(0)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network, image = torchvision.models.get_model(name, **options).eval(), torch.randn(1, 3, 96, 96)
    program, seen = trace(network, (3, 96, 96)), hooked(network, image)
    modules = module_outputs(program.graph)
    assert modules
    found = run(program, image, capture=[path for path in modules if path in seen]).captured
    for path, output in found.items():
        torch.testing.assert_close(output, seen[path], msg=lambda text, path=path: f"{path}: {text}")
    enclosing = {path for path in seen if next(network.get_submodule(path).children(), None) is not None}
    assert enclosing <= {*found, *program.graph.by_id}


@pytest.mark.parametrize(
    ("name", "layers"),
    [("resnet18", ["layer4", "layer4.1"]), ("densenet121", ["features", "features.denseblock2"]),
     ("googlenet", ["inception3b"]), ("vgg11", ["features"])],
)  # fmt: skip
def test_feature_maps_and_occlusion_go_by_modules(name: str, layers: list[str]) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    network, image = torchvision.models.get_model(name, **options).eval(), torch.randn(3, 64, 64)
    seen = hooked(network, image[None])
    for layer in layers:
        torch.testing.assert_close(explorer.feature_maps(network, image, layer), seen[layer][0])
    found = explorer.occlusion_map(network, image, window=64, layer=layers[0])
    totals = seen[layers[0]][0].sum((1, 2))
    assert found.channel == int(totals.argmax())
    assert found.baseline_activation == pytest.approx(float(totals.max()), rel=1e-3)


class Awkward(nn.Module):
    """Parts whose output is not what runs last in them, or is changed after it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.writes, self.functional = Early(), Writes(), Functional()
        self.both, self.twice, self.same = Both(), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()), nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        y = self.functional(self.writes(self.early(x)))
        a, b = self.both(self.same(y))
        y = self.twice(F.relu_(a + b))
        return self.twice(y + 1).mean((2, 3))


class Early(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.unused = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        self.unused(y)
        return y


class Writes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        F.relu_(y)
        return y


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv(x).sigmoid(), 2) * 3


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.a(x), self.b(x)


def test_the_output_is_what_leaves_the_module_and_not_what_runs_last_in_it() -> None:
    network, image = Awkward().eval(), torch.randn(1, 3, 20, 20)
    program, seen = trace(network, (3, 20, 20)), hooked(network, image)
    for path in ("early", "writes", "functional"):
        torch.testing.assert_close(first_tensor(run(program, image, until=path).output), seen[path])
    assert find_layer(program.graph, "early").id == "early.first"


def test_a_module_with_several_outputs_names_them_and_one_without_operations_is_none() -> None:
    graph = trace(Awkward().eval(), (3, 20, 20)).graph
    with pytest.raises(UnknownNameError, match=r"'both' is a module with 2 outputs: both.a, both.b; name one"):
        find_layer(graph, "both")
    with pytest.raises(UnknownNameError, match=r"2 outputs: twice.1, twice.1#2"):
        find_layer(graph, "twice")
    with pytest.raises(UnknownNameError, match="'same' is not a layer"):
        find_layer(graph, "same")


def test_modules_are_among_the_nearest_names_of_a_message() -> None:
    network = torchvision.models.resnet18().eval()
    with pytest.raises(UnknownNameError, match=r"layer='layer5' .* the nearest are .*layer4"):
        explorer.feature_maps(network, torch.zeros(3, 64, 64), "layer5")
    with pytest.raises(UnknownNameError) as caught:
        explorer.feature_maps(network, torch.zeros(3, 64, 64), "x" * 10**5)
    assert len(str(caught.value)) < 300
