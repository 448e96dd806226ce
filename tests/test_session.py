"""The page as a whole: what it opens with, what a link carries and refuses, and what is shared and bounded."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.testing.v1 import AppTest

import models
from explorer import device, knob_text
from explorer.errors import UserError
from explorer.images import encode_png
from explorer.knob_text import decode_knob, encode_knob, plain
from explorer.ui import session as sessions
from explorer.ui import state, weights
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import Setting
from explorer.ui.units import count, difference, pair, shape
from explorer.views import discover
from tests.page import APP, errors, link, metrics, open_app

# -- opening ----------------------------------------------------------------------------------------------------------


def test_opens_on_the_compact_zfnet_with_a_sample_picture() -> None:
    app = open_app()
    assert not errors(app) and not app.warning
    assert app.title[0].value == "ZFNet · zfnet_mini"
    assert metrics(app)["Parameters"] == count(sum(p.numel() for p in models.build("zfnet_mini").parameters()))
    assert app.selectbox(key="widget:sample").value == "cat"
    assert link(app) == {}


def test_every_view_can_be_opened_by_its_link() -> None:
    for name in discover():
        assert not errors(open_app(view=name))


def test_views_have_names_and_places_of_their_own() -> None:
    found = list(discover().values())
    assert found[0].name == "architecture"
    assert len({view.order for view in found}) == len({view.title for view in found}) == len(found)


def test_a_view_file_is_found_by_itself() -> None:
    folder = APP.parent / "explorer" / "views"
    files = [path for path in folder.glob("*.py") if "\nVIEW = View(" in path.read_text(encoding="utf-8")]
    assert len(discover()) == len(files) >= 3


# -- the main job -----------------------------------------------------------------------------------------------------


def test_choosing_an_architecture_and_changing_a_depth_is_in_the_link_and_the_link_restores_it() -> None:
    app = open_app()
    app.selectbox(key="widget:architecture").set_value("vgg").run()
    app.selectbox(key="widget:preset").set_value("vgg16").run()
    before = metrics(app)
    assert before["Parameters"] == "138.4 M" and before["Receptive field"] == "212 px" and before["Depth"] == "16"
    app.number_input(key="widget:knob vgg16 depths 2").set_value(4).run()
    assert link(app) == {"preset": "vgg16", "k.depths": "2,2,4,3,3"}
    after = metrics(app)
    assert after["Depth"] == "17" and after["Parameters"] != before["Parameters"]
    assert app.metric[0].delta.startswith("+")
    assert metrics(open_app(preset="vgg16", k__depths="2,2,4,3,3")) == after


def test_a_field_that_became_global_has_no_difference_in_pixels() -> None:
    app = open_app(preset="resnet50", k__attention="se")
    (field,) = [metric for metric in app.metric if metric.label == "Receptive field"]
    assert field.value == "global" and not field.delta


def test_a_new_preset_forgets_knobs_and_layer() -> None:
    app = open_app(preset="resnet18", k__depths="1,1,1,1", layer="layer1.0.conv1")
    app.selectbox(key="widget:preset").set_value("resnet34").run()
    assert link(app) == {"preset": "resnet34"}


def test_a_new_preset_forgets_what_was_chosen_in_the_old_network() -> None:
    app = open_app(
        preset="resnet18", layer="layer1.0.conv1", channel="3", row="2", column="1", page="2", target="7",
        occluded="layer1.0.conv1", position="1,2", window="40", weights="random",
    )  # fmt: skip
    assert len(link(app)) == 11
    app.selectbox(key="widget:preset").set_value("resnet34").run()
    assert link(app) == {"preset": "resnet34", "window": "40"}


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
    app = open_app(preset="vgg11")
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader[0].upload("mine.png", encode_png(np.zeros((9, 7, 3), np.uint8))).run()
    app.number_input(key="widget:knob vgg11 depths 0").set_value(2).run()
    app.query_params.clear()
    app.query_params["preset"] = "vgg11"
    monkeypatch.setattr(ScriptRunContext, "reset", history_navigation(ScriptRunContext.reset, True))
    app.run()
    assert link(app) == {"preset": "vgg11"}
    assert app.session_state["state"]["image"] == "upload" and not errors(app)


def test_a_value_that_a_widget_does_not_offer_any_more_is_passed_over() -> None:
    kept: list[str] = []
    shown = state._Shown("zfnet_mini", 1, ["zfnet", "zfnet_mini"])
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
    app = open_app(preset="vgg11")
    app.number_input(key="widget:knob vgg11 depths 0").set_value(2).run()
    app.query_params.clear()
    app.query_params["preset"] = "vgg11"  # as a browser does that has not seen the answer yet
    app.number_input(key="widget:knob vgg11 depths 1").set_value(3).run()
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


def test_a_network_runs_on_the_device_that_a_person_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [device.DeviceInfo("CPU (2 threads)", "cpu"), device.DeviceInfo("Another (CPU 0)", "cpu:0")]
    monkeypatch.setattr(device, "available", lambda: two)
    sessions.devices.clear()  # pyright: ignore[reportFunctionMemberAccess]
    app = open_app(view="maps", device="cpu")
    box = app.selectbox(key="widget:device")
    assert (box.options, box.value) == (["CPU (2 threads)", "Another (CPU 0)"], "cpu")
    box.set_value("cpu:0").run()
    assert not errors(app) and link(app)["device"] == "cpu:0"
    assert app.session_state["jobs"]["maps"].key[-3] == "cpu:0", "the device is part of what names the run"
    sessions.devices.clear()  # pyright: ignore[reportFunctionMemberAccess]


# -- links ------------------------------------------------------------------------------------------------------------

HOSTILE = {
    "preset": ["resnet51", "../../etc/passwd", "", "<script>", "\x00"],
    "seed": ["-1", "1e400", "nan", "99999999999999999999", "0x10", "1; drop table"],
    "view": ["nope", "__init__", "![x](//evil.example/p.png)"],
    "image": ["../secret", "upload", "cat.png"],
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
    rest = {} if name in ("preset", "nonsense") else {"preset": "zfnet"}
    for text in HOSTILE[name]:
        app = open_app(**{name: text, **rest, "panel": "costs"})
        told = [element.value for element in app.warning] + errors(app)
        assert len(told) == 1 and markdown_safe(name.removeprefix("k.")) in told[0] and len(told[0]) < 400, (text, told)
        assert "Traceback" not in told[0] and "![" not in told[0] and link(app)["panel"] == "costs"
        assert app.title[0].value == ("ZFNet · zfnet" if rest else "ZFNet · zfnet_mini")


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


# -- pictures, weights, networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["architecture", "maps", "occlusion"])
def test_a_network_of_two_channels_shows_no_picture_and_keeps_its_knobs(view: str) -> None:
    app = open_app(view=view, panel="fields", k__in_channels="2")
    assert errors(app) == ["in_channels=2: a picture has 3 channels, or 1 in gray."]
    assert [heading.value for heading in app.subheader] == (["Knobs"] if view == "architecture" else [])


def test_a_download_without_a_network_is_one_sentence_and_the_page_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise URLError("offline")

    monkeypatch.setattr("models.download.urlopen", offline)
    monkeypatch.setenv("CNN_EXPLORER_CACHE", str(tmp_path))
    weights.sources.clear()  # pyright: ignore[reportFunctionMemberAccess] (they name the cache)
    app = open_app(preset="resnet18", weights="IMAGENET1K_V1")
    assert not errors(app)
    app.button(key="download").click().run()
    app.session_state["jobs"][weights.DOWNLOAD].wait(20)
    app.run()
    (error,) = errors(app)
    assert "offline" in error and "download.pytorch.org" in error
    assert metrics(app)["Parameters"] == "11.7 M"
    app.selectbox(key="widget:weights").set_value("random").run()
    assert not errors(app)
    weights.sources.clear()  # pyright: ignore[reportFunctionMemberAccess]


def script() -> None:
    """A page that only builds the network, and shows what came of it."""
    import streamlit as st

    from explorer.errors import UserError
    from explorer.ui import session, state

    state.begin(session.SETTINGS)
    current = session.current()
    try:
        st.session_state["module"] = module = current.load().module
        st.session_state["logits"] = module(current.input)
        st.session_state["classes"] = current.categories
    except UserError as error:
        st.error(str(error))
    state.end()


def build(**link: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    for name, text in link.items():
        app.query_params[name.replace("k__", "k.")] = text
    return app.run()


def test_two_sessions_share_a_network_and_another_seed_gets_its_own() -> None:
    first, second, other = build(weights="random"), build(weights="random"), build(weights="random", seed="1")
    assert first.session_state["module"] is second.session_state["module"]
    assert first.session_state["module"] is not other.session_state["module"]
    assert not first.session_state["module"].training
    assert first.session_state["logits"].shape[1] == len(first.session_state["classes"])


def test_a_network_that_does_not_fit_is_refused_with_the_estimate_and_never_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build()  # imports
    devices, real = list[str](), models.build

    def recorded(spec: Any, *, device: str = "cpu", **options: Any) -> Any:
        devices.append(device)
        return real(spec, device=device, **options)

    monkeypatch.setattr("models.build", recorded)
    monkeypatch.setattr("explorer.device.free_bytes", lambda device: 2_000_000_000)
    app = build(preset="vgg19", k__widths="1024,1024,1024,1024,1024", k__image_size="1024", k__fc_widths="8192,8192")
    assert set(devices) == {"meta"}
    (error,) = errors(app)
    assert "GB" in error and "2.0 GB free" in error


# -- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(61_706, "61,706"), (138_357_544, "138.4 M"), (15_470_264_320, "15.5 G"), (999_960, "1.0 M"), (0, "0")],
)
def test_counts_are_written_for_people(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [(5, 5, None), (59, 50, "+9"), (10, 12, "-2"), (1_100_000, 1_000_000, "+10.0 %"), (500, 2000, "-75.0 %")],
)
def test_differences_carry_their_sign(now: int, before: int, text: str | None) -> None:
    assert difference(now, before) == text


def test_pairs_and_shapes() -> None:
    assert (pair((7, 7)), pair((1, 7)), shape((1, 64, 56, 56)), shape((1,))) == ("7", "1 × 7", "64 × 56 × 56", "scalar")
