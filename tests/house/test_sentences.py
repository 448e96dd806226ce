"""Whatever a person gives as a knob, the answer is one printable sentence of bounded length, or a network."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from explorer.errors import LONGEST_SENTENCE, UserError
from explorer.networks import catalog
from explorer.networks.knob_text import decode_knob
from explorer.ui.settings import Setting
from tests.support.places import ROOT


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


PRESETS = ["vgg16", "resnet50", "anynet_mini", "inception_v3", "mobilenet_v3_large"]
NAMES = ["self", "cls", "__class__", "name", "model", "spec", "x" * 9999, "\ud800", "a\nb", "", "\u202eabc"]
VALUES = [
    deep(3000), "x" * 10**6, 10**5000, -(10**4000), math.nan, math.inf, "\ud800", "a\0b\nc", None, [1] * 5000,
    tuple(range(300)), {"a": deep(3000)}, {1: 2}, [{"x" * 5000: 1}], b"x" * 5000, Unshowable(),
]  # fmt: skip
TEXTS = [
    "[" * 9000,
    "[" * 6 + "1",
    "9" * 5000,
    "1," * 4000,
    "\ud800",
    "nan",
    "1e999",
    "{}",
    '[{"a":1}]',
    "",
    "x" * 10**6,
]


def test_shares_are_said_in_one_way() -> None:
    """As 46.6 %, which `in_percent` writes; what a chart's own library formats aside."""
    said = re.compile(r"(?<!%)\{[^{}\n]+:[^{}\n]*%\}")
    files = [file for room in ("explorer", "models") for file in (ROOT / room).rglob("*.py")]
    found = {file.relative_to(ROOT).as_posix(): said.findall(file.read_text(encoding="utf-8")) for file in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


def sentence(call: Callable[[], object]) -> str | None:
    """What the call is refused with; anything but a sentence fails the test."""
    try:
        call()
    except UserError as error:
        assert str(error).isprintable()
        assert 10 < len(str(error)) <= LONGEST_SENTENCE
        return str(error)
    return None


@pytest.mark.parametrize("preset", PRESETS)
def test_no_value_of_a_knob_raises_more_than_a_sentence(preset: str) -> None:
    for knob in type(models.spec(preset)).model_fields:
        for value in VALUES:
            for each in (value, (value, value)):
                sentence(lambda each=each, knob=knob: models.spec(preset, **{knob: each}))
        said = sentence(lambda knob=knob: models.spec(preset, **{knob: deep(3000)}))
        assert said is not None
        assert said.startswith(knob)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_of_a_knob_raises_more_than_a_sentence(name: str) -> None:
    spec, one = models.spec("resnet50"), dict[str, Any]({name: 1})
    calls = [
        lambda: models.spec("resnet50", **one), lambda: models.build("resnet50", device="meta", **one),
        lambda: models.build(spec, device="meta", **one), lambda: spec.replace(**one),
        lambda: type(spec).parse({name: 1}), lambda: catalog.find("resnet50", {name: "1"}),
        lambda: catalog.find("torchvision:resnet18", {name: "1"}),
    ]  # fmt: skip
    for call in calls:
        assert sentence(call)


@pytest.mark.parametrize("name", ["x" * 9999, "\ud800", "a\nb", "", "block:" + "y" * 9999, "timm:\0", "a:b:c" * 999])
def test_no_name_of_a_network_raises_more_than_a_sentence(name: str) -> None:
    for call in (models.preset, models.block, models.spec, catalog.find):
        assert sentence(lambda call=call: call(name))


@pytest.mark.parametrize("preset", PRESETS)
def test_no_text_of_a_knob_raises_more_than_a_sentence(preset: str) -> None:
    spec = type(models.spec(preset))
    for knob in spec.model_fields:
        for text in TEXTS:
            sentence(lambda knob=knob, text=text: decode_knob(spec, knob, text))
    for setting in (
        Setting("a", 3, low=1, high=9),
        Setting("a", 0.5),
        Setting("a", "x", choices=tuple(models.presets())),
    ):
        assert all(sentence(lambda setting=setting, text=text: setting.decode(text)) for text in TEXTS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
)


@pytest.mark.fuzz
@given(st.sampled_from(PRESETS), st.data())
def test_no_data_raise_more_than_a_sentence(preset: str, data: st.DataObject) -> None:
    spec = models.spec(preset)
    knob = data.draw(st.sampled_from([*type(spec).model_fields]) | st.text())
    value = data.draw(JSON)
    sentence(lambda: spec.replace(**{knob: value}))
    sentence(lambda: decode_knob(type(spec), knob, str(value)))


def test_a_sentence_is_cut_in_its_middle_and_keeps_its_end() -> None:
    said = str(UserError(f"{'x' * 5000}\n\ud800 is damaged: delete it, or choose another."))
    assert len(said) == LONGEST_SENTENCE
    assert said.endswith("xx \\ud800 is damaged: delete it, or choose another.")
