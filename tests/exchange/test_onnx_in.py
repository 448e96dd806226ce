"""An .onnx file is the network that it came from: structure, fields, costs, and what onnxruntime computes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from onnx import helper, numpy_helper
from torch import Tensor, nn

import explorer
import models
from explorer.errors import UserError
from explorer.exchange.network_file import open_network_file
from explorer.networks import catalog
from tests.support.onnx_files import file_of

F32 = np.float32
RANDOM = np.random.default_rng(0)


def values(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(F32)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


# operation, constants after the image, attributes, opset
Case = tuple[str, list[np.ndarray], dict[str, Any], int]
CASES: list[Case] = [
    *((name, [], {}, 20) for name in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Erf", "HardSwish", "Softplus",
                                      "Softsign", "Mish", "Elu", "Selu", "Gelu", "LeakyRelu", "HardSigmoid", "Identity",
                                      "GlobalAveragePool", "GlobalMaxPool", "Flatten", "Transpose", "Sign", "Floor")),
    ("Gelu", [], {"approximate": "tanh"}, 20),
    ("HardSigmoid", [], {"alpha": 1 / 6, "beta": 0.5}, 20),
    ("Clip", [np.array(0, F32), np.array(6, F32)], {}, 20),
    ("Clip", [], {"min": -0.5, "max": 0.5}, 9),
    ("PRelu", [values(3, 1, 1)], {}, 20),
    ("Softmax", [], {"axis": 1}, 20),
    ("LogSoftmax", [], {"axis": -1}, 20),
    ("Add", [values(3, 1, 1)], {}, 20),
    ("Mul", [np.array(2.5, F32)], {}, 20),
    ("Div", [values(1, 3, 8, 8) + 5], {}, 20),
    ("Sub", [values(8)], {}, 20),
    ("Pow", [np.array(2, F32)], {}, 20),
    ("Max", [values(8)], {}, 20),
    ("MatMul", [values(8, 5)], {}, 20),
    ("Conv", [values(4, 3, 3, 3)], {"pads": [1, 1, 1, 1], "strides": [2, 1]}, 20),
    ("Conv", [values(4, 3, 3, 3), values(4)], {"pads": [0, 1, 2, 1], "dilations": [2, 1]}, 20),
    ("Conv", [values(6, 1, 3, 3)], {"group": 3, "auto_pad": "SAME_UPPER", "strides": [2, 2]}, 20),
    ("Conv", [values(6, 1, 2, 2)], {"group": 3, "auto_pad": "SAME_LOWER"}, 20),
    ("ConvTranspose", [values(3, 4, 3, 3)], {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, 20),
    ("ConvTranspose", [values(3, 4, 3, 3)], {"strides": [2, 2], "pads": [1, 1, 0, 0]}, 20),
    ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 20),
    ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}, 20),
    ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, 20),
    ("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 0}, 20),
    ("AveragePool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "count_include_pad": 1}, 20),
    ("BatchNormalization", [values(3), values(3), values(3), values(3) ** 2 + 1], {"epsilon": 1e-3}, 20),
    ("InstanceNormalization", [values(3), values(3)], {}, 20),
    ("LayerNormalization", [values(8), values(8)], {"axis": -1}, 20),
    ("GroupNormalization", [values(3), values(3)], {"num_groups": 3}, 21),
    ("LRN", [], {"size": 3, "alpha": 2e-4, "beta": 0.75, "bias": 2.0}, 20),
    ("ReduceMean", [whole(2, 3)], {}, 20),
    ("ReduceMean", [whole(1)], {"keepdims": 0}, 20),
    ("ReduceSum", [whole(-1)], {}, 20),
    ("ReduceMax", [whole(2)], {}, 20),
    ("ReduceL2", [whole(1)], {}, 20),
    ("ReduceMean", [], {"axes": [2, 3]}, 13),
    ("Reshape", [whole(0, -1)], {}, 20),
    ("Reshape", [whole(1, 3, 2, 4, 8)], {}, 20),
    ("Squeeze", [whole(0)], {}, 20),
    ("Unsqueeze", [whole(0, 3)], {}, 20),
    ("Slice", [whole(1, 2), whole(3, 2**62), whole(1, 3), whole(1, 2)], {}, 20),
    ("Slice", [], {"starts": [1], "ends": [-1], "axes": [2]}, 9),
    ("Gather", [np.array(1, np.int64)], {"axis": 2}, 20),
    ("Gather", [whole(2, 0, 1)], {"axis": 1}, 20),
    ("Pad", [whole(0, 0, 1, 2, 0, 0, 3, 0), np.array(0.5, F32)], {}, 20),
    ("Pad", [whole(0, 0, 1, 2, 0, 0, 3, 0)], {"mode": "reflect"}, 20),
    ("Resize", [np.array([], F32), np.array([1, 1, 2, 2], F32)], {"mode": "nearest"}, 20),
    ("Resize", [np.array([], F32), np.array([1, 1, 2, 3], F32)], {"mode": "linear"}, 20),
    ("Resize", [np.array([], F32), np.array([], F32), whole(1, 3, 11, 13)],
     {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, 20),
    ("Resize", [np.array([], F32), np.array([], F32), whole(1, 3, 11, 13)],
     {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, 20),
    ("DepthToSpace", [], {"blocksize": 1, "mode": "CRD"}, 20),
    ("Expand", [whole(2, 1, 1, 8, 8)], {}, 20),
    ("Tile", [whole(1, 1, 2, 1)], {}, 20),
    ("ArgMax", [], {"axis": 1}, 20),
    ("CumSum", [np.array(2, np.int64)], {}, 20),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{len(case[1])}-{'-'.join(case[2])}")
def test_every_operation_computes_what_onnxruntime_does(case: Case) -> None:
    op, constants, attributes, opset = case
    named = {f"c{place}": value for place, value in enumerate(constants)}
    given = ["x", *("" if value.size == 0 else name for name, value in named.items())]
    content = file_of([helper.make_node(op, given, ["y"], **attributes)], named, opset=opset)
    image = torch.from_numpy(values(1, 3, 8, 8))
    (wanted,) = _session(content).run(None, {"x": image.numpy()})
    found = open_network_file("a.onnx", content).build("cpu")(image)
    torch.testing.assert_close(found, torch.from_numpy(wanted), rtol=1e-5, atol=1e-5)


def test_logical_operations_compute_what_onnxruntime_does() -> None:
    node = helper.make_node
    nodes = [
        node("Greater", ["x", "low"], ["above"]), node("Less", ["x", "high"], ["below"]),
        node("And", ["above", "below"], ["between"]), node("Not", ["between"], ["outside"]),
        node("Or", ["outside", "above"], ["either"]), node("Where", ["either", "x", "low"], ["y"]),
    ]  # fmt: skip
    content = file_of(nodes, {"low": np.array(-0.5, F32), "high": np.array(0.5, F32)})
    image = torch.from_numpy(values(1, 3, 8, 8))
    (wanted,) = _session(content).run(None, {"x": image.numpy()})
    assert torch.equal(open_network_file("a.onnx", content).build("cpu")(image).detach(), torch.from_numpy(wanted))


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def test_shapes_that_a_file_computes_hold_for_any_number_of_images() -> None:
    """Flattening as older exporters write it: the batch is read from the input's shape."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "zero"], ["count"], axis=0),
        node("Unsqueeze", ["count", "axes"], ["row"]), node("Concat", ["row", "rest"], ["sizes"], axis=0),
        node("Reshape", ["x", "sizes"], ["y"]),
    ]  # fmt: skip
    constants = {"zero": np.array(0, np.int64), "axes": whole(0), "rest": whole(-1)}
    network = open_network_file("a.onnx", file_of(nodes, constants, shape=("batch", 3, 8, 8))).build("cpu")
    assert network(torch.zeros(5, 3, 8, 8)).shape == (5, 192)
    assert explorer.analyze(network, (3, 8, 8)).layers[-1].kind == "flatten"


def _constant(name: str, array: Any, own_name: str = "value") -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, own_name))


def test_constants_whose_tensors_share_a_name_keep_their_values() -> None:
    nodes = [
        _constant("a", np.full((3, 1, 1), 2, F32)), _constant("b", np.full((3, 1, 1), 5, F32)),
        helper.make_node("Add", ["x", "a"], ["sum"]), helper.make_node("Mul", ["sum", "b"], ["y"]),
    ]  # fmt: skip
    image = torch.from_numpy(values(1, 3, 8, 8))
    found = open_network_file("a.onnx", file_of(nodes, {})).build("cpu")(image)
    torch.testing.assert_close(found.detach(), (image + 2) * 5)


def test_weights_that_a_file_writes_as_constants_are_weights() -> None:
    nodes = [
        _constant("w", values(4, 3, 3, 3)), _constant("b", values(4)), _constant("half", np.full((4, 1, 1), 0.5, F32)),
        helper.make_node("Conv", ["x", "w", "b"], ["maps"]), helper.make_node("Mul", ["maps", "half"], ["y"]),
    ]  # fmt: skip
    network = open_network_file("a.onnx", file_of(nodes, {})).build("cpu")
    assert explorer.analyze(network, (3, 8, 8)).params == 4 * 3 * 3 * 3 + 4


def _written_over(places: str) -> bytes:
    """A sum in place as exporters write it: over all images, or at other places."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "zero"], ["count"], axis=0),
        node("Range", ["zero", "count", "one"], ["images"]), node("Unsqueeze", ["images", "last"], ["rows"]),
        node("Relu", ["x"], ["more"]), node("Add", ["x", "more"], ["sum"]),
        node("ScatterND", ["x", places, "sum"], ["y"]),
    ]  # fmt: skip
    constants = {
        "zero": np.array(0, np.int64), "one": np.array(1, np.int64), "last": whole(-1), "first": whole(0)[:, None]
    }  # fmt: skip
    return file_of(nodes, constants, shape=("batch", 3, 8, 8))


def test_a_sum_in_place_is_what_onnxruntime_computes() -> None:
    content, image = _written_over("rows"), torch.from_numpy(values(4, 3, 8, 8))
    (wanted,) = _session(content).run(None, {"x": image.numpy()})
    assert torch.equal(open_network_file("a.onnx", content).build("cpu")(image).detach(), torch.from_numpy(wanted))
    with pytest.raises(UserError, match="'ScatterND' writes values at places that are computed"):
        open_network_file("a.onnx", _written_over("first"))


def test_of_a_file_as_torch_writes_it_by_default_the_structure_is_read(tmp_path: Path) -> None:
    """Its weights lie beside it in another file, which is not read."""
    module, path = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).eval(), tmp_path / "network.onnx"
    torch.onnx.export(module, (torch.zeros(2, 3, 16, 16),), path, dynamic_shapes=({0: "batch"},), verbose=False)
    assert (tmp_path / "network.onnx.data").exists()
    network = catalog.find(str(path))
    found, wanted = network.analysis(), explorer.analyze(module, (3, 16, 16))
    assert (found.params, found.macs, found.receptive_field) == (wanted.params, wanted.macs, wanted.receptive_field)
    with pytest.raises(UserError, match=r"^network\.onnx keeps '0\.weight' in another file, which is not read"):
        catalog.load(network, catalog.weights_source(str(path)))


class Steps(nn.Module):
    """Two products with weights around gates that exporters write as several operations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 8, 3, bias=False), nn.SiLU()
        self.first, self.second = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(self.act(self.conv(x)).flatten(2).transpose(1, 2)))


def _layers(module: nn.Module, size: tuple[int, int, int]) -> list[Any]:
    """What an exporter keeps of a network: it leaves out what does nothing at inference."""
    kept = [layer for layer in explorer.analyze(module, size).layers if layer.kind not in ("dropout", "identity")]
    return [
        (layer.id, layer.kind, layer.output_shape, layer.params, layer.macs, layer.receptive_field) for layer in kept
    ]


@pytest.mark.parametrize("name", ["resnet_mini", "googlenet_mini"])
def test_our_own_file_is_the_network_layer_by_layer(name: str, tmp_path: Path) -> None:
    module, path = models.build(name).eval(), tmp_path / "network.onnx"
    explorer.export(module, path, input_size=(3, 64, 64), classes=[f"kind {i}" for i in range(12)])
    network = catalog.find(str(path))
    again = network.build("cpu")
    assert _layers(again, (3, 64, 64)) == _layers(module, (3, 64, 64))
    assert {n: v.shape for n, v in again.named_parameters()} == {
        n: v.shape for n, v in module.named_parameters() if not n.startswith("aux")
    }
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(image), module(image), rtol=1e-4, atol=1e-5)
    loaded = catalog.load(network, catalog.weights_source(str(path)))
    assert loaded.classes[11] == "kind 11"


def test_a_linear_layer_and_a_gate_are_what_they_were() -> None:
    module = Steps().eval()
    again = open_network_file("a.onnx", _exported(module, 20)).build("cpu")
    found, wanted = explorer.analyze(again, (3, 8, 8)), explorer.analyze(module, (3, 8, 8))
    for layer in ("conv", "act", "first", "second"):
        assert found[layer].kind == wanted[layer].kind
        assert (found[layer].macs, found[layer].params) == (wanted[layer].macs, wanted[layer].params)


def test_torchvisions_file_has_the_fields_and_costs_of_the_network() -> None:
    """As `torch.onnx.export` writes it by default: batch norms are folded into the convolutions before them."""
    module = torchvision.models.resnet18().eval()
    again = open_network_file("a.onnx", _exported(module, 18, 64)).build("cpu")
    found, wanted = explorer.analyze(again, (3, 64, 64)), explorer.analyze(module, (3, 64, 64))
    assert (found.macs, found.receptive_field) == (wanted.macs, wanted.receptive_field)
    convolutions = [layer.id for layer in wanted.layers if layer.kind in ("conv", "linear")]
    assert [layer.id for layer in found.layers if layer.kind in ("conv", "linear")] == convolutions
    assert all(found[name].receptive_field == wanted[name].receptive_field for name in convolutions)
    image = torch.randn(1, 3, 64, 64)
    seen = explorer.occlusion_map(again, image, window=32, stride=32)
    assert np.allclose(seen.probability, explorer.occlusion_map(module, image, window=32, stride=32).probability)
    assert torch.allclose(
        explorer.deconvnet(again, image, "layer2.0.conv1"),
        explorer.deconvnet(module, image, "layer2.0.conv1"),
        atol=1e-5,
    )


def _exported(module: nn.Module, opset: int, side: int = 8) -> bytes:
    program = torch.onnx.export(
        module, (torch.zeros(2, 3, side, side),), dynamo=True, dynamic_shapes=({0: "batch"},), opset_version=opset,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    content = io.BytesIO()
    program.save(content)  # pyright: ignore[reportArgumentType]
    return content.getvalue()
