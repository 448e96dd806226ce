"""Receptive fields against known numbers, and against the support of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import models
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import TracedProgram, trace
from explorer.receptive_field.report import LayerFields, head_layer, receptive_fields
from explorer.run.execute import run
from explorer.types import Box
from tests.oracles.gradient_support import Unit, supports
from tests.support.preset_sizes import input_size
from tests.support.random_networks import Call, RandomNetwork

NETWORKS = 320  # random networks

# Torch notes that `same` padding of an even kernel copies its input.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def fields_of(module: nn.Module, size: tuple[int, int, int]) -> tuple[TracedProgram, dict[str, LayerFields]]:
    program = trace(module, size)
    return program, receptive_fields(program.graph)


def closed_form(found: LayerFields) -> tuple[int, Fraction, Fraction]:
    """Size, stride and padding of a field that is the same along both axes."""
    field = found.strict
    assert field.size[0] == field.size[1]
    assert field.stride[0] == field.stride[1]
    assert field.padding[0] == field.padding[1]
    return field.size[0], field.stride[0], field.padding[0]


# -- Known numbers ----------------------------------------------------------------------------------------------------


class AlexNetV2(nn.Sequential):
    """The convolutional part of TF-Slim's AlexNet v2: convolutions keep the size but for the first, pools are valid."""

    def __init__(self) -> None:
        super().__init__()
        for name, layer in {
            "conv1": nn.Conv2d(3, 64, 11, 4), "pool1": nn.MaxPool2d(3, 2), "conv2": nn.Conv2d(64, 192, 5, padding=2),
            "pool2": nn.MaxPool2d(3, 2), "conv3": nn.Conv2d(192, 384, 3, padding=1),
            "conv4": nn.Conv2d(384, 384, 3, padding=1), "conv5": nn.Conv2d(384, 256, 3, padding=1),
            "pool5": nn.MaxPool2d(3, 2),
        }.items():  # fmt: skip
            self.add_module(name, layer)


ALEXNET_V2 = {
    "conv1": (11, 4, 0), "pool1": (19, 8, 0), "conv2": (51, 8, 16), "conv3": (99, 16, 32), "conv4": (131, 16, 48),
    "conv5": (163, 16, 64), "pool5": (195, 32, 64),
}  # fmt: skip
# By the index in `features` of torchvision's VGG-16.
VGG16 = {
    "features.4": (6, 2, 2), "features.9": (16, 4, 6), "features.16": (44, 8, 18), "features.17": (60, 8, 26),
    "features.23": (100, 16, 42), "features.28": (196, 16, 90), "features.30": (212, 32, 90),
}  # fmt: skip


@pytest.mark.parametrize(
    ("build", "expected"),
    [(AlexNetV2, ALEXNET_V2), (lambda: models.build("vgg16", device="meta"), VGG16)],
    ids=["alexnet", "vgg16"],
)
def test_published_sizes_strides_and_paddings(
    build: Callable[[], nn.Module], expected: dict[str, tuple[int, int, int]]
) -> None:
    _, fields = fields_of(build().eval(), (3, 224, 224))
    assert {name: closed_form(fields[name]) for name in expected} == expected


@pytest.mark.parametrize(("name", "size"), [("resnet18", 435), ("resnet50", 427), ("vgg16", 212), ("alexnet", 195)])
def test_field_of_the_network(name: str, size: int) -> None:
    program, fields = fields_of(models.build(name, device="meta").eval(), (3, 224, 224))
    assert fields[head_layer(program.graph, fields)].strict.size == (size, size)


class SlimUnit(nn.Module):
    """A bottleneck's window: the residual path and the shortcut both take the stride of the unit."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, 1)
        self.shortcut = nn.MaxPool2d(1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.shortcut(x)


def test_resnet_50_with_the_stride_in_the_last_unit_of_a_stage() -> None:
    """As in TF-Slim, whose figure is 483; torchvision's ResNet-50 comes to 427."""
    strides = [[1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1, 1, 2], [1, 1, 1]]
    units = [SlimUnit(2, stride) for stage in strides for stride in stage]
    network = nn.Sequential(nn.Conv2d(3, 2, 7, 2, 3), nn.MaxPool2d(3, 2, 1), *units)
    program, fields = fields_of(network, (3, 224, 224))
    assert fields[program.graph.layers[-1].id].strict.size == (483, 483)


# -- Single operations ------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, tuple[nn.Module, tuple[Fraction | int, ...]]] = {
    "dilation": (nn.Conv2d(1, 1, 3, 1, 2, 2), (5, 1, 2)),
    "asymmetric": (nn.Sequential(nn.Conv2d(1, 1, (1, 7)), nn.Conv2d(1, 1, (7, 1))), (7, 1, 0)),
    "same": (nn.Conv2d(1, 1, 4, padding="same"), (4, 1, 1)),
    "ceil_mode": (nn.MaxPool2d(3, 2, ceil_mode=True), (3, 2, 0)),
    "transposed": (nn.ConvTranspose2d(1, 1, 4, 2, 1), (2, Fraction(1, 2), 1)),
    "nearest": (nn.Upsample(scale_factor=2), (1, Fraction(1, 2), Fraction(1, 2))),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (2, Fraction(1, 2), 1)),
    "pixel shuffle": (nn.PixelShuffle(2), (1, Fraction(1, 2), Fraction(1, 2))),
    "pixel unshuffle": (nn.PixelUnshuffle(2), (2, 2, 0)),
    "adaptive to a third": (nn.AdaptiveAvgPool2d(8), (3, 3, 0)),
    "adaptive to the same size": (nn.AdaptiveAvgPool2d(24), (1, 1, 0)),
    "slice": (Call(lambda x: x[:, :, 2::2, 2::2]), (1, 2, -2)),
    "channel shuffle": (nn.ChannelShuffle(2), (1, 1, 0)),
    "negative padding": (nn.ZeroPad2d(-1), (1, 1, -1)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_size_stride_and_padding_of(name: str) -> None:
    step, expected = OPERATIONS[name]
    size = (4, 24, 24) if "shuffle" in name else (1, 24, 24)
    program, fields = fields_of(step.eval(), size)
    assert closed_form(fields[program.graph.layers[-1].id]) == expected


def test_axes_are_kept_apart() -> None:
    program, fields = fields_of(nn.Conv2d(3, 2, (3, 5), (2, 1), (0, 2), (1, 3)), (3, 20, 30))
    field = fields[program.graph.layers[-1].id].strict
    assert field.size == (3, 13)
    assert field.stride == (2, 1)
    assert field.padding == (0, 2)
    assert field.box(0, 0) == (0, 1, 3, 11)
    assert field.box(3, 10) == (6, 8, 9, 21)


class Gated(nn.Module):
    """Channels scaled by a squeeze of the whole map, as in SENet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)
        self.excite = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1), nn.Sigmoid())
        self.last = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.last(x * self.excite(self.squeeze(x)))


def test_a_gate_makes_the_strict_field_the_image_and_leaves_the_local_one() -> None:
    program, fields = fields_of(Gated(), (3, 16, 12))
    found = fields[head_layer(program.graph, fields)]
    assert found.strict.is_global
    assert found.strict.size == (16, 12)
    assert found.strict.box(4, 4) == (0, 0, 16, 12)
    assert not found.local.is_global
    assert found.local.size == (5, 5)
    assert found.local.box(4, 4) == (4, 4, 9, 9)


def test_group_norm_sees_the_map_by_its_statistics() -> None:
    program, fields = fields_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)), (1, 9, 9))
    found = fields["1"]
    assert found.strict.is_global
    assert found.local.size == (3, 3)
    assert fields["0"].strict.size == (3, 3)


def test_batch_norm_sees_the_map_in_training_only() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for training in (False, True):
        fields = receptive_fields(trace(network, (1, 9, 9), training=training).graph)
        assert fields["1"].strict.is_global is training


def test_branches_of_different_field_merge_by_union() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.tall = nn.Conv2d(1, 1, (1, 5), padding=(0, 2)), nn.Conv2d(1, 1, (3, 1), padding=(1, 0))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((self.wide(x), self.tall(F.pad(x, (0, 1))[..., 1:])), 1)

    program, fields = fields_of(Net(), (1, 12, 12))
    field = fields[program.graph.layers[-1].id].strict
    assert field.size == (3, 5)
    assert field.box(6, 6) == (5, 4, 8, 9)


def test_a_branch_that_sees_nothing_at_both_ends_adds_nothing_there() -> None:
    """Rows and columns are kept apart: the rows that a padded branch sees count in no column of its padding."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tall, self.wide = nn.Conv2d(1, 1, (5, 1), padding=(2, 0)), nn.Conv2d(1, 1, (1, 3), padding=(0, 2))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((F.pad(self.tall(x), (1, 1)), self.wide(x)), 1)

    program, fields = fields_of(Net(), (1, 9, 9))
    found = fields[program.graph.layers[-1].id].strict
    assert found.box(4, 0) == (4, 0, 5, 1)
    assert found.box(4, 10) == (4, 8, 5, 9)
    assert found.box(4, 5) == (2, 3, 7, 6)
    assert found.every_box((9, 11))[:, 4, 0].tolist() == [4, 0, 5, 1]


# -- Proof by the support of the gradient ------------------------------------------------------------------------------


def corners_and_middle(graph: LayerGraph, name: str) -> list[Unit]:
    rows, columns = graph[name].output_shape[-2:]
    return [(0, 0), (rows // 2, columns // 2), (rows // 3, 2 * columns // 3), (rows - 1, columns - 1)]


def differences(
    program: TracedProgram, fields: dict[str, LayerFields], names: list[str], local: bool
) -> list[tuple[str, Unit, Box, Box]]:
    """(layer, unit, box computed, box of the gradient) where they differ."""
    seen = supports(program, {name: corners_and_middle(program.graph, name) for name in names}, local=local)
    computed = {name: fields[name].local if local else fields[name].strict for name in names}
    return [(name, unit, computed[name].box(*unit), box) for (name, unit), box in seen.items()
            if computed[name].box(*unit) != box]  # fmt: skip


def maps_along(graph: LayerGraph, fields: dict[str, LayerFields], count: int) -> list[str]:
    """About `count` of the layers that change the field, evenly along the network, the last of them included."""
    kinds = ("conv", "max_pool", "avg_pool", "add", "concat", "mul")
    maps = [layer.id for layer in graph if layer.kind in kinds and fields[layer.id].is_map and fields[layer.id].has_map]
    return [*maps[:: max(1, len(maps) // count)], maps[-1]]


@pytest.mark.parametrize("name", ["vit_mini", "anynet_mini_transformer"])
def test_scores_of_positions_by_positions_are_no_map_of_the_picture(name: str) -> None:
    program, fields = fields_of(models.build(name, device="meta").eval(), input_size(name, 64))
    scores = [layer for layer in program.graph if layer.kind == "softmax"]
    assert scores
    assert all(layer.is_map and not fields[layer.id].is_map for layer in scores)


def test_maps_that_attention_is_laid_out_as_again_are_maps() -> None:
    program, fields = fields_of(models.build("nlnet_mini", device="meta").eval(), input_size("nlnet_mini", 64))
    assert fields["layer3.1.gather.reshape"].strict.is_global
    assert fields["layer3.1.gather.reshape"].is_map
    assert fields["layer3.1.add"].is_map


TRANSFORMERS = list(models.architecture_of("vit_b_16").presets)


@pytest.mark.parametrize("name", [name for name in models.presets() if name not in TRANSFORMERS])
def test_fields_of_a_preset_are_the_supports_of_gradients(name: str) -> None:
    """At a size that shows interior units in the early layers of all, and in the last of the small networks."""
    network = models.build(name, device="meta").eval()
    program, fields = fields_of(network, input_size(name, 104, 136))
    names = maps_along(program.graph, fields, 5)
    assert any(not fields[name].strict.is_global for name in names)
    for local in (False, True):
        assert differences(program, fields, names, local) == []


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformers_patch_is_a_box_and_its_tokens_see_the_whole_image(name: str) -> None:
    network = models.build(name).double()
    program, fields = fields_of(network, input_size(name, 0))
    (patches,) = [layer.id for layer in program.graph if layer.kind == "conv"]
    assert differences(program, fields, [patches], local=False) == []
    head = head_layer(program.graph, fields)
    image = torch.rand(1, *input_size(name, 0), dtype=torch.float64, requires_grad=True)
    tokens = run(program, image, until=head, grad=True).output
    (gradient,) = torch.autograd.grad(tokens.flatten()[-1], image)  # one channel of the last token
    assert fields[head].strict.is_global
    assert (gradient != 0).any(dim=1).all()


@pytest.mark.parametrize(
    "name",
    ["densenet121", "efficientnet_b0", "inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
     "convnext_tiny", "shufflenet_v2_x0_5", "squeezenet1_0", "resnext50_32x4d", "regnet_y_400mf"],
)  # fmt: skip
def test_fields_of_other_architectures_are_the_supports_of_gradients(name: str) -> None:
    """Dense and residual links, gates, channel shuffles and splits, asymmetric kernels, channels-last blocks."""
    initialise = {"init_weights": False} if name == "inception_v3" else {}
    with torch.device("cpu" if "regnet" in name else "meta"):  # regnet computes its widths with tensors
        network = torchvision.models.get_model(name, weights=None, **initialise).eval()
    program, fields = fields_of(network, (3, 75, 96))
    names = maps_along(program.graph, fields, 6)
    for local in (False, True):
        assert differences(program, fields, names, local) == []


@pytest.mark.parametrize(("name", "size"), [("vgg16", 256), ("resnet50", 480), ("googlenet", 416), ("zfnet", 224)])
def test_fields_of_interior_units_of_the_last_map(name: str, size: int) -> None:
    program, fields = fields_of(models.build(name, device="meta").eval(), (3, size, 64))
    head = head_layer(program.graph, fields)
    rows = program.graph[head].output_shape[-2]
    found = supports(program, {head: [(rows // 2, 0)]})[head, (rows // 2, 0)]
    top, bottom = found[0], found[2]
    assert top > 0
    assert bottom < size
    assert bottom - top == fields[head].strict.size[0]
    assert fields[head].strict.box(rows // 2, 0) == found


def holds(outer: Box, inner: Box) -> bool:
    top, left, bottom, right = inner
    return inner == (0, 0, 0, 0) or (outer[0] <= top and outer[1] <= left and outer[2] >= bottom and outer[3] >= right)


@pytest.mark.parametrize("first", range(0, NETWORKS, 40))
def test_fields_of_random_networks_are_the_supports_of_gradients(first: int) -> None:
    """Where the field is said to be exact, which it is for most; else the box is larger."""
    exact = 0
    for seed in range(first, first + 40):
        network = RandomNetwork(seed).eval()
        program, fields = fields_of(network, network.input_size)
        last = program.graph.layers[-1].id
        for local in (False, True):
            wrong = differences(program, fields, [last], local)
            assert all(holds(computed, found) for _, _, computed, found in wrong), (seed, local, wrong)
            assert not wrong or fields[last].certainty == "bounded", (seed, local, wrong)
        exact += fields[last].certainty == "exact"
    assert exact >= 30
