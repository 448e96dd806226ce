"""Trained weights on the page when a knob changes: what is kept, what is new, the way back, and what names a run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from streamlit.testing.v1 import AppTest

import models
from explorer.ui.markdown import markdown_safe
from tests.support.page import TRAINED, errors, link, open_app, open_trained, upload
from tests.support.places import WEIGHTS
from tests.ui.test_session import build

SHIPPED = load_file(WEIGHTS / "zfnet_mini.safetensors")


def sidebar(app: AppTest) -> list[str]:
    return [caption.value for caption in app.sidebar.caption]


def told(app: AppTest) -> str:
    """What the sidebar says of kept weights."""
    (sentence,) = [text for text in sidebar(app) if " kept" in text or text.startswith("Nothing of")]
    return sentence


def test_a_swapped_activation_keeps_what_was_trained_and_the_preset_is_one_click_away() -> None:
    app = open_trained(k__activation="silu")
    assert not errors(app)
    assert app.selectbox(key="widget:weights").value == "shipped"
    assert told(app).startswith("Trained here kept, whole. Its accuracy is not known; that of zfnet")
    app.button(key="unchanged").click().run()
    assert link(app) == {"preset": TRAINED}
    assert not any(" kept" in text for text in sidebar(app))
    assert "unchanged" not in [button.key for button in app.button]


def test_the_maps_of_a_swapped_activation_are_those_of_the_trained_weights() -> None:
    app = build(k__activation="silu")
    module = models.build("zfnet_mini", activation="silu")
    module.load_state_dict(SHIPPED)
    found = app.session_state["module"]
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in found.state_dict().items())
    assert app.session_state["classes"][:2] == ("bird", "boat")


def test_maps_and_occlusion_say_what_of_the_weights_is_kept() -> None:
    for view in ("maps", "occlusion"):
        app = open_trained(view=view, k__activation="silu")
        for job in app.session_state["jobs"].values():
            job.wait(60)
        app.run()
        assert not errors(app)
        assert any(caption.value.startswith("Trained here kept") for caption in app.main.caption)


def test_new_layers_are_named_have_a_seed_and_class_names_go_with_their_number() -> None:
    app = open_trained(k__num_classes="5", seed="3")
    assert told(app).startswith("Trained here kept; new: classifier.6 (1 of 13 layers).")
    assert "seed 3" in told(app)
    assert app.number_input(key="widget:seed").value == 3
    assert build(k__num_classes="5").session_state["classes"] == tuple(f"class {i}" for i in range(5))
    assert "widget:seed" not in [box.key for box in open_trained(k__activation="silu").number_input]


def test_another_spec_or_seed_is_another_network_and_the_seed_counts_only_where_it_is_drawn_from() -> None:
    def module(**knobs: str) -> Any:
        return build(**knobs).session_state["module"]

    silu = module(k__activation="silu")
    assert silu is module(k__activation="silu", seed="8")
    assert silu is not module(k__activation="gelu")
    five, other = module(k__num_classes="5"), module(k__num_classes="5", seed="8")
    assert five is module(k__num_classes="5")
    assert torch.equal(five.state_dict()["features.0.weight"], other.state_dict()["features.0.weight"])
    assert not torch.equal(five.state_dict()["classifier.6.weight"], other.state_dict()["classifier.6.weight"])


def test_what_is_random_stays_random() -> None:
    app = open_trained(weights="random", k__activation="silu")
    assert app.selectbox(key="widget:weights").value == "random"
    assert not any(" kept" in text for text in sidebar(app))


def test_weights_of_which_nothing_fits_are_said_to_be_none() -> None:
    app = open_app(preset="lenet_mini", k__in_channels="1", k__widths="3,5")
    assert not errors(app)
    sentence = told(app)
    assert "new: " in sentence or sentence.startswith("Nothing of")


def own(app: AppTest, state: dict[str, torch.Tensor]) -> AppTest:
    return upload(app, save(state), "mine.safetensors")


def with_five_classes(app: AppTest) -> AppTest:
    return app.number_input(key="widget:knob zfnet_mini num_classes").set_value(5).run()


def test_a_persons_file_is_kept_as_well_and_one_of_another_network_is_refused() -> None:
    app = with_five_classes(own(open_trained(panel="knobs"), SHIPPED))
    assert not errors(app)
    assert told(app).startswith("mine.safetensors kept; new: classifier.6 (1 of 13 layers).")
    assert "accuracy" not in told(app)
    app = own(open_trained(k__num_classes="5"), {"x": torch.ones(2)})
    (error,) = errors(app)
    assert error.startswith("mine.safetensors holds the weights of another network: none of its tensors")
    assert told(app).startswith("Trained here kept; new: classifier.6"), "the preset's own stand in"


@pytest.mark.parametrize("name", ["<b>x</b>.weight", "![a](http://b).weight"])
def test_what_a_file_calls_its_tensors_is_no_markup_of_the_page(name: str) -> None:
    app = with_five_classes(own(open_trained(panel="knobs"), SHIPPED))
    app = own(app, SHIPPED | {name: torch.ones(2)})
    assert f"Left out of the file: {markdown_safe(name)}" in told(app)
    assert name not in told(app)
