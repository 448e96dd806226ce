"""The page as a whole: what it opens with, the main job, and what is shared and bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.run import device
from explorer.ui import session as sessions
from explorer.ui import weights
from explorer.views import discover
from tests.support.page import APP, TRAINED, edit_cell, errors, link, metrics, open_app, open_trained

# -- opening ----------------------------------------------------------------------------------------------------------


def test_a_first_visit_opens_on_resnet50_with_a_sample_picture() -> None:
    app = open_app()
    assert not errors(app)
    assert not app.warning
    assert app.title[0].value == "ResNet · resnet50"
    assert metrics(app)["Parameters"] == "25.6 M", "25,557,032, as torchvision's documentation has it"
    assert app.selectbox(key="widget:sample").value == "cat"
    assert link(app) == {}


def test_every_view_can_be_opened_by_its_link() -> None:
    for name in discover():
        assert not errors(open_trained(view=name))


def test_views_have_names_and_places_of_their_own() -> None:
    found = list(discover().values())
    assert found[0].name == "workbench"
    assert len({view.order for view in found}) == len({view.title for view in found}) == len(found)


def test_a_view_file_is_found_by_itself() -> None:
    folder = APP.parent / "explorer" / "views"
    files = [path for path in folder.rglob("*.py") if "\nVIEW = View(" in path.read_text(encoding="utf-8")]
    assert len(discover()) == len(files) >= 3


# -- the main job -----------------------------------------------------------------------------------------------------


def test_choosing_an_architecture_and_changing_a_depth_is_in_the_link_and_the_link_restores_it() -> None:
    app = open_trained(panel="knobs")
    app.selectbox(key="widget:architecture").set_value("vgg").run()
    app.selectbox(key="widget:preset").set_value("vgg16").run()
    before = metrics(app)
    assert before["Parameters"] == "138.4 M"
    assert before["Receptive field"] == "212 px"
    assert before["Depth"] == "16"
    edit_cell(app, 2, "depths", 4)
    assert link(app) == {"panel": "knobs", "preset": "vgg16", "k.depths": "2,2,4,3,3"}
    after = metrics(app)
    assert after["Depth"] == "17"
    assert after["Parameters"] != before["Parameters"]
    assert app.metric[0].delta.startswith("+")
    assert metrics(open_app(panel="knobs", preset="vgg16", k__depths="2,2,4,3,3")) == after


def test_a_field_that_became_global_has_no_difference_in_pixels() -> None:
    app = open_app(preset="resnet50", k__attention="se")
    (field,) = [metric for metric in app.metric if metric.label == "Receptive field"]
    assert field.value == "global"
    assert field.delta == "preset: 427 px"


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


def test_a_network_runs_on_the_device_that_a_person_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [device.DeviceInfo("CPU (2 threads)", "cpu"), device.DeviceInfo("Another (CPU 0)", "cpu:0")]
    monkeypatch.setattr(device, "available", lambda: two)
    sessions.devices.clear()  # pyright: ignore[reportFunctionMemberAccess]
    app = open_trained(view="maps", device="cpu")
    box = app.selectbox(key="widget:device")
    assert (box.options, box.value) == (["CPU (2 threads)", "Another (CPU 0)"], "cpu")
    box.set_value("cpu:0").run()
    assert not errors(app)
    assert link(app)["device"] == "cpu:0"
    assert "cpu:0" in app.session_state["jobs"]["maps"].key, "the device is part of what names the run"
    sessions.devices.clear()  # pyright: ignore[reportFunctionMemberAccess]


# -- pictures, weights, networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["workbench", "maps", "occlusion", "deconvnet"])
def test_a_network_of_two_channels_shows_no_picture_and_keeps_its_knobs(view: str) -> None:
    app = open_trained(view=view, panel="field", k__in_channels="2")
    assert errors(app) == ["in_channels=2: a picture has 3 channels, or 1 in gray."]
    if view == "workbench":
        app.segmented_control(key="widget:panel").set_value("knobs").run()
        assert not errors(app)
        assert app.slider(key="widget:knob zfnet_mini in_channels").value == 2


def test_a_download_without_a_network_is_one_sentence_and_the_page_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise URLError("offline")

    monkeypatch.setattr("models.weights.download.urlopen", offline)
    monkeypatch.setenv("CNN_EXPLORER_CACHE", str(tmp_path))
    weights.offered.clear()  # pyright: ignore[reportFunctionMemberAccess] (they name the cache)
    app = open_app(preset="resnet18", weights="IMAGENET1K_V1")
    assert not errors(app)
    app.button(key="download").click().run()
    app.session_state["jobs"][weights.DOWNLOAD].wait(20)
    app.run()
    (error,) = errors(app)
    assert "offline" in error
    assert "download.pytorch.org" in error
    assert metrics(app)["Parameters"] == "11.7 M"
    app.selectbox(key="widget:weights").set_value("random").run()
    assert not errors(app)
    weights.offered.clear()  # pyright: ignore[reportFunctionMemberAccess]


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
    for name, text in {"preset": TRAINED, **link}.items():
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
    monkeypatch.setattr("explorer.run.device.free_bytes", lambda device: 2_000_000_000)
    app = build(preset="vgg19", k__widths="1024,1024,1024,1024,1024", k__image_size="1024", k__fc_widths="8192,8192")
    assert set(devices) == {"meta"}
    (error,) = errors(app)
    assert "GB" in error
    assert "2.0 GB free" in error
