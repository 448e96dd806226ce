"""What goes wrong in one part of the page is a sentence there, and the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.ui import weights
from tests.support.page import APP, TRAINED, edit_cell, errors, link, metrics, open_app, open_trained


def test_where_a_preset_cannot_be_opened_the_first_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    good = weights.offered

    def broken(preset: str) -> Any:
        if preset == "vgg_mini":
            raise KeyError(preset)
        return good(preset)

    monkeypatch.setattr(weights, "offered", broken)
    app = open_app(preset="vgg_mini", view="contest")
    (error,) = errors(app)
    assert "failed inside" in error
    assert link(app) == {"preset": "resnet50", "view": "contest"}
    app.segmented_control(key="widget:view").set_value("workbench").run()
    assert not errors(app)
    assert app.title[0].value == "ResNet · resnet50"


def test_a_page_that_cannot_begin_is_a_sentence_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(preset: str) -> Any:
        raise OSError("metrics.json")

    monkeypatch.setattr(weights, "offered", broken)
    assert set(errors(open_app())) == {"This failed inside the program (OSError); the server's log has the details."}


def test_a_spec_that_cannot_be_says_which_knob_and_keeps_the_last_figures() -> None:
    app = open_app(preset="zfnet", panel="knobs")
    good = metrics(app)
    edit_cell(app, 1, "widths", 254)
    changed = metrics(app)
    edit_cell(app, 1, "groups", 4)
    (error,) = errors(app)
    assert "widths" in error
    assert "groups" in error
    assert "254" in error
    assert metrics(app) == changed != good
    assert any("up to features.4" in caption.value for caption in app.caption)
    app.button(key="reset groups").click().run()
    assert not errors(app)


def test_an_image_too_small_is_refused_with_the_layer() -> None:
    app = open_app(preset="zfnet", k__image_size="16")
    (error,) = errors(app)
    assert "image_size=16" in error
    assert "features.4" in error


def test_an_error_in_a_panel_leaves_the_knobs_that_mend_it() -> None:
    app = open_trained(panel="field", k__in_channels="4")
    assert len(errors(app)) == 1
    app.segmented_control(key="widget:panel").set_value("knobs").run()
    app.slider(key="widget:knob zfnet_mini in_channels").set_value(3).run()
    assert not errors(app)


def test_without_a_picture_the_receptive_field_says_so_beside_the_knobs() -> None:
    app = open_trained(panel="field")
    app.segmented_control(key="widget:source").set_value("upload").run()
    assert len(errors(app)) == 1
    app.segmented_control(key="widget:panel").set_value("knobs").run()
    assert app.slider(key="widget:knob zfnet_mini dropout")


def test_the_receptive_field_panel_opens_on_the_last_map_with_positions() -> None:
    app = open_app(preset="vit_ti_16", panel="field")
    assert not errors(app)
    assert app.selectbox(key="widget:layer").value == "conv_proj"


def test_an_uploaded_picture_is_used_and_a_broken_one_is_one_sentence() -> None:
    app = open_trained()
    app.segmented_control(key="widget:source").set_value("upload").run()
    assert link(app) == {"preset": TRAINED}
    app.file_uploader(key="upload").upload("broken.png", b"\x89PNG\r\n\x1a\n broken").run()
    (error,) = errors(app)
    assert "broken.png" in error
    app.file_uploader(key="upload").set_value(None)
    app.file_uploader(key="upload").upload("boat.png", (APP.parent / "assets/samples/boat.png").read_bytes()).run()
    assert not errors(app)
    app.segmented_control(key="widget:source").set_value("sample").run()
    assert app.selectbox(key="widget:sample").value == "cat"


def test_a_file_that_holds_no_weights_is_one_sentence() -> None:
    app = open_trained()
    app.selectbox(key="widget:weights").set_value("file").run()
    app.file_uploader(key="weights file").upload("mine.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{").run()
    (error,) = errors(app)
    assert "mine.safetensors" in error


OWN = (APP.parent / "assets/weights/zfnet_mini.safetensors").read_bytes()
OTHERS = (APP.parent / "assets/weights/resnet_mini.safetensors").read_bytes()


@pytest.mark.parametrize(("content", "says"), [(OTHERS, "more tensors differ"), (OWN[:-1], "is cut short: it has")])
def test_weights_of_another_network_or_cut_short_are_one_sentence_and_the_page_goes_on(
    content: bytes, says: str
) -> None:
    app = open_trained(view="maps", weights="file")
    app.file_uploader(key="weights file").upload("bad.safetensors", content).run()
    told = set(errors(app))
    assert len(told) == 1
    assert "bad.safetensors" in (sentence := told.pop())
    assert says in sentence
    app.file_uploader(key="weights file").set_value(None)
    app.file_uploader(key="weights file").upload("good.safetensors", OWN).run()
    assert not errors(app)
    app.selectbox(key="widget:weights").set_value("random").run()
    assert not errors(app)


def test_a_look_at_upload_keeps_the_chosen_sample() -> None:
    app = open_trained(image="boat")
    for source in ("upload", "camera", "sample"):
        app.segmented_control(key="widget:source").set_value(source).run()
    assert app.selectbox(key="widget:sample").value == "boat"
    assert link(app) == {"preset": TRAINED, "image": "boat"}
