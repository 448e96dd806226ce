"""Tracing torchvision's whole classification list and timm's families of convolutional networks."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from explorer import Analysis, analyze
from tests.oracles.light_models import published, timm_model, torchvision_model

TORCHVISION = torchvision.models.list_models(module=torchvision.models)
# Shifted windows and padded patch merging are functions that torchvision keeps whole under torch.fx: their products
# are counted, but they are in no table.
OPAQUE = {name: {"shifted_window_attention", "_patch_merging_pad"} for name in TORCHVISION if name.startswith("swin")}
# Heads that only training uses. Published with them for Inception v3, without them for GoogLeNet.
AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
# Modules that see weights and constants alone, and so are no layers: the network that makes swin v2's table of relative
# positions (for 15² of them), and EdgeNeXt's embedding of positions.
OFF_GRAPH = (".cpb_mlp.0", ".cpb_mlp.1", ".cpb_mlp.2", ".pos_embd.token_projection")

# One small variant of each family of timm, and the inputs that are not 224 px, as timm gives them.
TIMM = [
    "coat_lite_tiny", "convmixer_768_32", "convnext_zepto_rms_ols", "convnextv2_atto", "cs3darknet_focus_s",
    "cspnext_tiny", "cspresnet50", "csatv2", "darknet17", "davit_tiny", "densenetblur121d", "dla34", "dla46x_c",
    "dpn48b", "eca_halonext26ts", "eca_nfnet_l0", "eca_resnext26ts", "ecaresnext26t_32x4d", "edgenext_xx_small",
    "efficientformer_l1", "efficientnet_lite0", "ese_vovnet19b_dw", "fasternet_t0", "fastvit_sa12", "fbnetc_100",
    "fbnetv3_b", "focalnet_tiny_lrf", "gcresnext26ts", "gernet_s", "ghostnet_050", "ghostnetv2_100", "hardcorenas_a",
    "hgnetv2_b0", "hrnet_w18_small", "inception_next_tiny", "inception_resnet_v2", "inception_v4", "lambda_resnet26t",
    "lcnet_035", "lcnetv2_base", "legacy_seresnet18", "legacy_xception", "levit_conv_128", "lowformer_e1",
    "mambaout_femto", "mixer_s16_224", "mixnet_s", "mnasnet_small", "mobilenetv1_100", "mobilenetv2_035",
    "mobilenetv3_small_050", "mobilenetv4_conv_small", "mobileone_s0", "nextvit_small", "nf_regnet_b0",
    "poolformer_s12", "pvt_v2_b0", "rdnet_tiny", "regnety_002", "regnetz_b16", "repghostnet_050", "repvgg_a0",
    "repvit_m0_9", "res2net50_14w_8s", "resnest14d", "resnet10t", "resnetrs50", "resnetv2_18", "rexnetr_100",
    "seresnext26d_32x4d", "selecsls42", "semnasnet_075", "shvit_s1", "skresnet18", "spnasnet_100", "starnet_s1",
    "swiftformer_xs", "tinynet_e", "tresnet_m", "visformer_tiny", "wide_resnet50_2", "xception41",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def outputs_of_leaves(module: nn.Module, size: tuple[int, int, int]) -> dict[str, list[tuple[int, ...]]]:
    """What forward gives on meta: shapes of the outputs of torch's own modules, call by call."""
    seen: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    hooks = [
        part.register_forward_hook(lambda _m, _a, out, path=path: seen[path].append(tuple(out.shape)))
        for path, part in module.named_modules()
        if type(part).__module__.startswith("torch.nn.modules") and not list(part.children())
        if not isinstance(part, nn.Sequential) and not path.endswith(OFF_GRAPH)
    ]
    with torch.no_grad(), torch.device("meta"):
        module(torch.empty(1, *size))
    for hook in hooks:
        hook.remove()
    return seen


@contextlib.contextmanager
def products() -> Iterator[Callable[[], int]]:
    """Multiply-accumulates by torch's own counter, which sees every product of a forward pass within."""
    with FlopCounterMode(display=False) as counter:
        yield lambda: counter.get_total_flops() // 2


def assert_sound(found: Analysis, module: nn.Module, shapes_of: dict[str, list[tuple[int, ...]]]) -> None:
    """Layers named once, in order, with the shapes of a real forward; every parameter either used or silent."""
    ids = [layer.id for layer in found.graph]
    assert len(set(ids)) == len(ids)
    for k, layer in enumerate(found.graph):
        assert set(layer.inputs) <= set(ids[:k])
        assert layer.input_shapes == tuple(found.graph[name].output_shape for name in layer.inputs)
    for path, shapes in shapes_of.items():
        calls = [path, *(f"{path}#{k}" for k in range(2, len(shapes) + 1))]
        assert [found.graph[call].output_shape for call in calls] == shapes, path
    used = {name for layer in found.graph for name in layer.parameters}
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    assert found.params == sum(sizes.values())
    assert found.params_used == sum(sizes[name] for name in used)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    crop, giga_macs, params = published(name)
    size, module = (3, crop, crop), torchvision_model(name)
    found = analyze(module, size)
    assert_sound(found, module, outputs_of_leaves(module, size))
    silent = {key for key, _ in module.named_parameters()} - {p for layer in found.graph for p in layer.parameters}
    assert all(key.startswith(AUXILIARY.get(name, ())) for key in silent)
    assert params == (found.params_used if name == "googlenet" else found.params)
    assert math.isclose((found.macs + found.weight_macs) / 1e9, giga_macs, abs_tol=0.0005 + 1e-9)
    assert {found.graph[layer].op for layer in found.unknown} == OPAQUE.get(name, set())


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    module, size = timm_model(name)
    found = analyze(module, size)
    with products() as counted:
        shapes_of = outputs_of_leaves(module, size)
    assert_sound(found, module, shapes_of)
    assert found.params_used == found.params
    assert found.macs + found.weight_macs == counted()
    assert found.unknown == ()


def test_the_measure_of_products_sees_attention() -> None:
    """The counter that the tests above trust, on a case worked by hand: q·kᵀ and its product with v."""

    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2)
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    size = (4, 3, 5)
    with products() as counted:
        Attention()(torch.empty(1, *size, device="meta"))
    assert counted() == analyze(Attention(), size).macs == 2 * 4 * 4 * 15
