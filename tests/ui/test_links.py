"""What a link carries and refuses, and when it is taken over."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext

import models
from explorer.errors import UserError
from explorer.images.codec import encode_png
from explorer.networks import knob_text
from explorer.networks.knob_text import decode_knob, encode_knob, plain
from explorer.ui import state
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import Setting
from tests.support.page import TRAINED, edit_cell, errors, link, open_app, open_trained


def test_a_link_names_its_network_and_the_bare_address_is_the_start() -> None:
    app = open_app()
    assert link(app) == {}
    app.segmented_control(key="widget:view").set_value("contest").run()
    assert link(app) == {"preset": "resnet50", "view": "contest"}
    app.segmented_control(key="widget:view").set_value("workbench").run()
    assert link(app) == {}
    app.selectbox(key="widget:preset").set_value("resnet18").run()
    assert link(app) == {"preset": "resnet18"}


OF_BEFORE = [
    {"panel": "costs"},
    {"view": "maps", "layer": "features.8", "channel": "5"},
    {"panel": "costs", "k__activation": "silu"},
    {"k__activation": "silu"},
    {"view": "compare", "pin1": "resnet50"},
    {"view": "blocks", "block3": "mbconv"},
]


@pytest.mark.parametrize("old", OF_BEFORE)
def test_a_link_from_when_the_start_went_unnamed_opens_the_network_that_it_meant(old: dict[str, str]) -> None:
    """It was zfnet_mini until links named every network."""
    app = open_app(**old)
    assert not errors(app)
    assert not app.warning
    assert link(app) == {"preset": "zfnet_mini"} | {name.replace("__", "."): text for name, text in old.items()}


@pytest.mark.parametrize("foreign", [{"embed": "true"}, {"utm_source": "letter"}])
def test_what_is_no_setting_of_the_page_makes_no_link_of_an_address(foreign: dict[str, str]) -> None:
    assert open_app(**foreign).title[0].value == "ResNet · resnet50"


@pytest.mark.parametrize("went_back", [True, False])
def test_the_link_replaces_the_state_where_a_person_went_back_to_it(
    monkeypatch: pytest.MonkeyPatch, went_back: bool
) -> None:
    app = open_app(preset="vgg11")
    app.query_params.clear()
    app.query_params["preset"] = "lenet5"
    monkeypatch.setattr(ScriptRunContext, "reset", history_navigation(ScriptRunContext.reset, went_back))
    app.run()
    assert app.title[0].value == ("LeNet-5 · lenet5" if went_back else "VGG · vgg11")
    assert link(app) == {"preset": "lenet5" if went_back else "vgg11"}


def test_a_persons_picture_stays_when_they_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_app(preset="vgg11", panel="knobs")
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader(key="upload").upload("mine.png", encode_png(np.zeros((9, 7, 3), np.uint8))).run()
    edit_cell(app, 0, "depths", 2)
    app.query_params.clear()
    app.query_params["preset"] = "vgg11"
    monkeypatch.setattr(ScriptRunContext, "reset", history_navigation(ScriptRunContext.reset, True))
    app.run()
    assert link(app) == {"preset": "vgg11", "image": "upload:mine.png"}
    assert app.session_state["state"]["image"] == "upload"
    assert not errors(app)


def test_a_reload_says_which_picture_of_a_persons_own_is_gone_and_what_is_shown() -> None:
    app = open_trained()
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader(key="upload").upload("my \u202egnp.dog.png", encode_png(np.zeros((9, 7, 3), np.uint8))).run()
    kept = link(app)
    assert kept == {"preset": TRAINED, "image": "upload:my gnp.dog.png"}, "without what turns the writing round"
    again = open_app(**kept)
    (notice,) = [element.value for element in again.warning]
    assert markdown_safe("my gnp.dog.png") in notice
    assert "is gone" in notice
    assert "the sample cat is used" in notice
    assert link(again) == {"preset": TRAINED}
    assert again.selectbox(key="widget:sample").value == "cat"


def test_a_picture_that_was_taken_away_or_left_is_not_in_the_link() -> None:
    app = open_trained()
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader(key="upload").upload("mine.png", encode_png(np.zeros((9, 7, 3), np.uint8))).run()
    app.segmented_control(key="widget:source").set_value("sample").run()
    assert link(app) == {"preset": TRAINED}
    app.segmented_control(key="widget:source").set_value("upload").run()
    assert link(app) == {"preset": TRAINED, "image": "upload:mine.png"}


def test_a_reload_says_that_a_persons_own_weights_are_gone() -> None:
    app = open_trained(weights="file:mine.safetensors")
    (notice,) = [element.value for element in app.warning]
    assert markdown_safe("mine.safetensors") in notice
    assert "the best that the preset has is used" in notice
    assert "weights" not in link(app)


def test_what_was_wrong_in_the_link_is_told_until_another_view_is_chosen() -> None:
    app = open_trained(seed="-1")
    assert len(app.warning) == 1
    app.selectbox(key="widget:sample").set_value("boat").run()
    assert len(app.warning) == 1, "it may not have been read yet"
    app.segmented_control(key="widget:view").set_value("contest").run()
    assert not app.warning
    app.segmented_control(key="widget:view").set_value("workbench").run()
    assert not app.warning


def test_a_value_that_a_widget_does_not_offer_any_more_is_passed_over() -> None:
    kept: list[str] = []
    shown = state._Shown("zfnet_mini", 1, 0.0, ["zfnet", "zfnet_mini"])
    st.session_state["widget:preset"] = "vgg11"  # of the architecture that a click before has left
    state._take("widget:preset", kept.append, shown)
    st.session_state["widget:preset"] = "zfnet"
    state._take("widget:preset", kept.append, shown)
    assert kept == ["zfnet"]


def history_navigation(reset: Any, went_back: bool) -> Any:
    """A run as Streamlit starts it after *Back*, or after anything else."""

    def changed(*args: Any, **options: Any) -> None:
        reset(*args, **options | {"is_history_navigation": went_back})

    return changed


def test_a_click_with_the_link_of_the_click_before_does_not_undo_it() -> None:
    app = open_app(preset="vgg11", panel="knobs")
    edit_cell(app, 0, "depths", 2)
    app.query_params.clear()
    app.query_params["preset"] = "vgg11"  # as a browser does that has not seen the answer yet
    edit_cell(app, 1, "depths", 3)
    assert link(app)["k.depths"] == "2,3,2,2,2"


NESTED = [
    (preset, name) for entry in models.architectures() for preset, of in entry.presets.items()
    for name in type(of.spec).model_fields if knob_text._is_nested(type(of.spec).model_fields[name].annotation)
    if not preset.startswith("anynet_mini_")
]  # fmt: skip


@pytest.mark.parametrize(("preset", "name"), NESTED)
def test_a_link_carries_the_longest_value_of_a_nested_knob(preset: str, name: str) -> None:
    spec = models.preset(preset).spec
    values = longest = plain(spec)
    while len(longest[name]) < 64:
        longest = {**longest, name: (*longest[name], longest[name][-1])}
        with contextlib.suppress(models.SpecError):
            values = plain(type(spec).parse(longest))
    assert decode_knob(type(spec), name, encode_knob(values[name])) == values[name]


HOSTILE = {
    "preset": ["resnet51", "../../etc/passwd", "", "<script>", "\x00"],
    "seed": ["-1", "1e400", "nan", "99999999999999999999", "0x10", "1; drop table"],
    "view": ["nope", "__init__", "![x](//evil.example/p.png)"],
    "image": ["../secret", "upload", "cat.png", "upload:![x](//evil.example/p.png)", "camera:" + "x" * 5000],
    "device": ["cuda:99", "meta"],
    "layer": ["features.999", "__class__"],
    "channel": ["5000", "-2", "x"],
    "weights": ["![x](//evil.example/p.png)", "IMAGENET1K_V9", "file.safetensors"],
    "k.widths": ["1,2,3,4,five", "[" * 5000, "9" * 4000, "96,256,384,384,100000", "-1,-1,-1,-1,-1"],
    "k.norm": ["batch'", "__import__('os')"],
    "k.__class__": ["x"],
    "k.model_config": ["{}"],
    "nonsense": ["1"],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_value_in_a_link_is_one_sentence_and_the_rest_is_kept(name: str) -> None:
    rest = {} if name == "preset" else {"preset": "zfnet"}
    for text in HOSTILE[name]:
        app = open_app(**{name: text, **rest, "panel": "costs"})
        told = [element.value for element in app.warning] + errors(app)
        assert len(told) == 1, (text, told)
        assert markdown_safe(name.removeprefix("k.")) in told[0], (text, told)
        assert len(told[0]) < 400, (text, told)
        assert "Traceback" not in told[0]
        assert "![" not in told[0]
        assert link(app)["panel"] == "costs"
        assert app.title[0].value == ("ZFNet · zfnet" if rest else "ResNet · resnet50")


@pytest.mark.parametrize("preset", models.presets())
def test_every_knob_survives_its_own_text(preset: str) -> None:
    spec = models.preset(preset).spec
    for name, value in spec:
        knob = type(spec).knobs().get(name)
        ends = [v for v in (knob.low, knob.high, *(knob.choices or ())) if v is not None] if knob else []
        if knob and isinstance(value, tuple):
            longest = knob.length[1] if knob.length else len(value)
            ends = [(type(knob.default[0])(end),) * longest for end in ends]
        for candidate in (plain(value), *ends):
            assert decode_knob(type(spec), name, encode_knob(candidate)) == candidate


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (Setting("a", 3, low=1, high=9), "9", 9),
        (Setting("a", 0.5), "0.25", 0.25),
        (Setting("a", False), "1", True),
        (Setting("a", "x", choices=("x", "y")), "y", "y"),
    ],
)
def test_settings_are_read_from_their_text(setting: Setting, text: str, value: Any) -> None:
    assert setting.decode(text) == value
    assert setting.decode(setting.encode(value)) == value


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (Setting("a", 3, low=1, high=9), "10"),
        (Setting("a", 3, low=1, high=9), "3.5"),
        (Setting("a", 0.5, low=0.0, high=1.0), "nan"),
        (Setting("a", 0.5), "inf"),
        (Setting("a", False), "perhaps"),
        (Setting("a", "x", choices=lambda: ("x", "y")), "z"),
    ],
)
def test_settings_refuse_other_text_with_their_name(setting: Setting, text: str) -> None:
    with pytest.raises(UserError, match=rf"^a={text!r} is not "):
        setting.decode(text)
