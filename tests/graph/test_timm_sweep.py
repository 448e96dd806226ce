"""One small network of every file of timm: none fails, every product is counted or said, every field holds.

`make fuzz` goes over all of them, `make test` over a few quick ones.
"""

from __future__ import annotations

import os

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explorer import Analysis, analyze
from explorer.analysis.receipt import receipt
from explorer.analysis.structure import LayerReport
from explorer.types import Box
from tests.oracles.light_models import timm_model
from tests.oracles.program_gradients import boxes_seen, randomized

# The file of timm/models → one of its smallest networks.
NETWORKS = {
    "beit": "beit_base_patch16_224", "byoanet": "botnet26t_256", "byobnet": "gernet_s", "cait": "cait_xxs24_224",
    "coat": "coat_lite_tiny", "convit": "convit_tiny", "convmixer": "convmixer_768_32", "convnext": "test_convnext",
    "cpubone": "cpubone_nano", "crossvit": "crossvit_tiny_240", "csatv2": "csatv2", "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny", "davit": "davit_tiny", "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224", "densenet": "densenet121", "dla": "dla34", "dpn": "dpn68",
    "edgenext": "edgenext_xx_small", "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0", "efficientnet": "tinynet_d", "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0", "efficientvit_msra": "efficientvit_m1", "eva": "eva02_tiny_patch14_224",
    "fasternet": "fasternet_t0", "fastvit": "fastvit_t8", "focalnet": "focalnet_tiny_srf", "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m_enc", "ghostnet": "ghostnet_050", "hardcorenas": "hardcorenas_a",
    "hgnet": "hgnetv2_b0", "hiera": "hiera_tiny_224", "hieradet_sam2": "sam2_hiera_tiny", "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t", "inception_next": "inception_next_atto", "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3", "inception_v4": "inception_v4", "lcnetv2": "lcnetv2_small", "levit": "levit_128",
    "lowformer": "lowformer_b0", "mambaout": "test_mambaout", "maxxvit": "test_coatnet",
    "metaformer": "poolformer_s12", "mlp_mixer": "gmixer_12_224", "mobilenetv3": "lcnet_035",
    "mobilenetv5": "mobilenetv5_base", "mobilevit": "mobilevitv2_050", "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_gap", "nasnet": "nasnetalarge", "nest": "nest_tiny",
    "nextvit": "nextvit_small", "nfnet": "test_nfnet", "pit": "pit_ti_224", "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0", "qwen3_vit": "qwen3_vit_88m", "rdnet": "rdnet_tiny", "regnet": "regnetx_002",
    "repghost": "repghostnet_050", "repvit": "repvit_m0_9", "res2net": "res2next50", "resnest": "resnest14d",
    "resnet": "test_resnet", "resnetv2": "resnetv2_18", "rexnet": "rexnet_100", "selecsls": "selecsls42",
    "senet": "legacy_seresnet18", "sequencer": "sequencer2d_s", "shvit": "shvit_s1", "sknet": "skresnet18",
    "starnet": "starnet_s050", "swiftformer": "swiftformer_xs", "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256", "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224", "tnt": "tnt_s_legacy_patch16_224", "tresnet": "tresnet_m",
    "twins": "twins_pcpvt_small", "vgg": "vgg11", "visformer": "visformer_tiny", "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224", "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": "samvit_base_patch16_224", "vitamin": "vitamin_small_224", "volo": "volo_d1_224",
    "vovnet": "vovnet39a", "xception": "legacy_xception", "xception_aligned": "xception41p",
    "xcit": "xcit_nano_12_p8_224",
}  # fmt: skip
QUICK = ["convnext", "efficientnet", "edgenext", "mambaout", "resnet", "starnet", "vision_transformer", "xcit"]
# Their gradients in float64 take more than a minute, or many gigabytes.
TOO_LARGE = {
    "beit", "convit", "convmixer", "crossvit", "csatv2", "deepseek_vit", "gemma4_vit", "hieradet_sam2",
    "inception_resnet_v2", "mobilenetv5", "naflexvit", "nasnet", "pnasnet", "qwen3_vit", "vgg",
    "vision_transformer_sam",
}  # fmt: skip
NEEDS_MEMORY = {"vision_transformer_hybrid", "vitamin"}  # their constructors compute with their weights
NOT_FOLLOWED = {"sequencer": {"recurrent"}}  # kinds of layers whose fields no rule tells
WHOLE = bool(int(os.environ.get("FUZZ_EXAMPLES", "0")))
FILES = sorted(NETWORKS) if WHOLE else QUICK
WITH_GRADIENTS = sorted(set(NETWORKS) - TOO_LARGE) if WHOLE else ["convnext", "mambaout", "resnet", "starnet"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def network(file: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network without memory where it can be built so, and its input size (C, H, W)."""
    return with_weights(file) if file in NEEDS_MEMORY else timm_model(NETWORKS[file])


def with_weights(file: str) -> tuple[nn.Module, tuple[int, int, int]]:
    module = timm.create_model(NETWORKS[file]).eval()
    channels, height, width = vars(module)["default_cfg"]["input_size"]
    return module, (channels, height, width)


def test_every_file_of_timm_that_has_a_network_is_swept() -> None:
    assert set(timm.list_modules()) == set(NETWORKS)
    assert all(name in timm.list_models(module=file) for file, name in NETWORKS.items())


@pytest.mark.fuzz
@pytest.mark.parametrize("file", FILES)
def test_a_network_is_analysed_and_its_receipt_explains_what_torchs_counter_finds(file: str) -> None:
    module, size = network(file)
    found = analyze(module, size)
    assert {found.graph[name].kind for name in found.unknown} == NOT_FOLLOWED.get(file, set())
    assert found.uncounted == ()
    assert found.params == sum(parameter.numel() for parameter in module.parameters())
    device = "cpu" if file in NEEDS_MEMORY else "meta"
    module.requires_grad_(False)  # else the counter asks each weight that a module is called with for its history
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device(device):
        module(torch.zeros(1, *size))
    assert receipt(found)["flop_counter"].total == pytest.approx(counter.get_total_flops(), rel=1e-3)
    assert found.macs + found.weight_macs == pytest.approx(counter.get_total_flops() / 2, rel=1e-3)


@pytest.mark.fuzz
@pytest.mark.parametrize("file", WITH_GRADIENTS)
def test_boxes_are_those_of_the_networks_own_gradients(file: str) -> None:
    """Of three units of the last map, and of the last one that does not see the whole image."""
    module, size = with_weights(file)
    randomized(module.double(), 0)
    found = analyze(module, size)
    wanted = {layer.id: corners_and_middle(layer) for layer in last_maps(found)}
    seen = boxes_seen(found.program, wanted, 0)
    for (name, unit), box in seen.items():
        said = found[name].receptive_field.box(*unit)
        assert said == box or (found[name].certainty == "bounded" and holds(said, box)), (name, unit)


def last_maps(found: Analysis) -> list[LayerReport]:
    maps = [layer for layer in found.layers if layer.is_map and min(layer.output_shape[-2:]) > 1]
    assert len(maps) > 1  # more than the image
    return [*[layer for layer in maps if not layer.receptive_field.is_global][-1:], maps[-1]]


def corners_and_middle(layer: LayerReport) -> list[tuple[int, int]]:
    rows, columns = layer.output_shape[-2:]
    return [(0, 0), (rows // 2, columns // 2), (rows - 1, columns - 1)]


def holds(outer: Box, inner: Box) -> bool:
    top, left, bottom, right = inner
    return inner == (0, 0, 0, 0) or (outer[0] <= top and outer[1] <= left and outer[2] >= bottom and outer[3] >= right)
