"""Variants of a network as text and back, and what such a text may not say."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from explorer.errors import UserError
from explorer.networks.knob_text import plain
from explorer.networks.variants import SHORT, Variant, decode_variant, encode_variant
from models.spec import NetSpec


def changed(preset: str, **knobs: Any) -> dict[str, Any]:
    return {name: value for name, value in plain(models.spec(preset, **knobs)).items() if name in knobs}


SAMPLES = {
    "resnet50": Variant("resnet50", "resnet50"),
    "resnet50!n=wide!s=7!w=random!k.widths=128,256,512,1024": Variant(
        "wide", "resnet50", {"widths": (128, 256, 512, 1024)}, "random", 7
    ),
    "vgg11!n=a%21b%3Dc%20%25!k.norm=batch": Variant("a!b=c %", "vgg11", {"norm": "batch"}),
}


@pytest.mark.parametrize("text", SAMPLES)
def test_a_short_variant_can_be_read_in_its_text(text: str) -> None:
    assert encode_variant(SAMPLES[text]) == text
    assert decode_variant(text) == SAMPLES[text]


@pytest.mark.parametrize("preset", ["efficientnet_b0", "googlenet", "regnet_y_400mf", "anynet_mini"])
def test_nested_knobs_are_packed_and_come_back(preset: str) -> None:
    spec = models.preset(preset).spec
    nested = [name for name, value in spec if isinstance(value, tuple)]
    shorter = {name: plain(getattr(spec, name))[:-1] for name in nested}
    for name, value in shorter.items():
        try:
            type(spec).parse({**plain(spec), name: value})
        except models.SpecError:
            continue
        variant = Variant("shorter", preset, {name: value})
        text = encode_variant(variant)
        assert decode_variant(text) == variant
        assert len(text) <= SHORT or text.startswith("!")
        assert len(text) < 2000


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40), st.integers(0, 2**31 - 1), st.sampled_from(models.presets()))
def test_any_name_comes_back_as_far_as_it_can_be_printed(name: str, seed: int, preset: str) -> None:
    found = decode_variant(encode_variant(Variant(name, preset, seed=seed)))
    shown = "".join(filter(str.isprintable, name)).strip()
    assert found == Variant(shown or preset, preset, seed=seed)


def test_a_knob_that_is_as_in_the_preset_is_no_change() -> None:
    assert decode_variant("resnet50!k.depths=3,4,6,3") == Variant("resnet50", "resnet50")


def test_the_spec_is_that_of_the_preset_with_its_changes() -> None:
    found = decode_variant("resnet50!k.depths=3,4,7,3").spec
    assert isinstance(found, NetSpec)
    assert found == models.spec("resnet50", depths=(3, 4, 7, 3))


def packed(data: bytes) -> str:
    return "!" + base64.urlsafe_b64encode(data).decode().rstrip("=")


BAD = {
    "resnet51": "'resnet51'",
    "": "''",
    "../../etc/passwd": "preset",
    "resnet50!k.depths=3,4,x": "depths",
    "resnet50!k.nonsense=1": "nonsense",
    "resnet50!k.__class__=1": "__class__",
    "resnet50!s=-1": "seed",
    "resnet50!s=99999999999": "seed",
    "resnet50!z=1": "'z'",
    "resnet50!k.image_size=1": "image_size",
    "!": "damaged",
    "!%%%": "damaged",
    packed(b"no zlib"): "damaged",
    packed(zlib.compress(b"resnet50", 9)[:-5]): "damaged",
    packed(zlib.compress(b"\xff\xfe")): "damaged",
    packed(zlib.compress(b"r" * 10_000_000)): "damaged",  # a bomb is not unpacked
    packed(zlib.compress(b"resnet51")): "'resnet51'",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_text_is_refused_with_what_is_wrong(text: str) -> None:
    with pytest.raises(UserError, match=BAD[text]) as refusal:
        decode_variant(text)
    assert len(str(refusal.value)) < 400


def test_knobs_that_make_no_network_together_are_refused() -> None:
    with pytest.raises(UserError, match="makes no network of resnet50: depths"):
        decode_variant("resnet50!k.depths=3,4,6")
