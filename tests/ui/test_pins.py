"""Networks that are pinned: kept, named, taken up again, and carried by the link."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from explorer.networks.variants import decode_variant
from explorer.ui import pins
from tests.support.page import errors, link, metrics, open_app

DEPTHS = "widget:knob resnet18 depths 0"


def pinned(app: AppTest) -> list[str]:
    return [text for name, text in sorted(link(app).items()) if name.startswith("pin")]


def press(app: AppTest, label: str, letter: str = "") -> AppTest:
    return app.button(key=f"{label} {letter}" if letter else label).click().run()


def test_a_network_is_pinned_and_kept_while_another_is_edited() -> None:
    app = open_app(preset="resnet18", view="compare")
    assert pinned(press(app, "pin")) == ["resnet18"]
    assert app.button == [] or not [button for button in app.button if button.key == "pin"], "it is pinned already"
    app.selectbox(key="widget:preset").set_value("resnet34").run()
    assert pinned(app) == ["resnet18"]
    assert pinned(press(app, "pin")) == ["resnet18", "resnet34"]
    assert not errors(app)


def test_the_link_opens_the_same_pins_in_another_browser() -> None:
    link_of_here = {
        "view": "compare", "preset": "resnext50_32x4d", "pin1": "resnet50", "pin2": "vgg11!n=with norm!k.norm=batch",
        "pin3": "zfnet_mini!s=3!w=random",
    }  # fmt: skip
    app = open_app(**link_of_here)
    assert not app.warning
    assert [decode_variant(text).name for text in pinned(app)] == ["resnet50", "with norm", "zfnet_mini"]
    again = open_app(**link(app))
    assert link(again) == link(app)


def test_pins_stay_over_views_and_presets() -> None:
    app = open_app(preset="resnet18", pin1="vgg11", view="workbench")
    app.selectbox(key="widget:preset").set_value("resnet34").run()
    app.segmented_control(key="widget:view").set_value("contest").run()
    assert pinned(app) == ["vgg11"]


def test_one_is_renamed_made_the_reference_and_removed() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="vgg11", pin2="vgg13")
    app.text_input(key="widget:name B").set_value("  deeper \u202e").run()
    assert pinned(app) == ["vgg11", "vgg13!n=deeper"]
    press(app, "Make it the reference", "B")
    assert pinned(app) == ["vgg13!n=deeper", "vgg11"]
    press(app, "Remove", "A")
    assert pinned(app) == ["vgg11"]
    app.text_input(key="widget:name A").set_value(" ").run()
    assert pinned(app) == ["vgg11"], "without a name it has that of its preset"
    assert not errors(app)


def test_a_variant_that_is_taken_up_is_the_edited_one_in_one_step_that_can_be_undone() -> None:
    app = open_app(
        view="compare", preset="vgg11", pin1="resnet18!n=deep!s=5!w=random!k.depths=2,2,3,2", k__norm="batch"
    )
    press(app, "Edit this one", "A")
    now = link(app)
    assert (now["preset"], now["k.depths"], now["weights"], now["seed"]) == ("resnet18", "2,2,3,2", "random", "5")
    assert "k.norm" not in now
    assert pinned(app) == ["resnet18!n=deep!s=5!w=random!k.depths=2,2,3,2"], "it stays pinned"
    assert app.session_state["history"].past[-1].preset == "vgg11"
    assert len(app.session_state["history"].past) == 1


def test_no_more_are_pinned_than_there_are_places_for() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="vgg11", pin2="vgg13", pin3="vgg16")
    (button,) = [button for button in app.button if button.key == "pin"]
    assert button.disabled
    assert "remove one" in button.help
    assert not [box for box in app.selectbox if box.key == "widget:compare preset"]


def test_knobs_that_make_no_network_cannot_be_pinned() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="vgg11", k__depths="2,2,2")
    (button,) = [button for button in app.button if button.key == "pin"]
    assert button.disabled
    assert button.help == "These knobs make no network."
    assert any("last one that could be built" in element.value for element in app.warning)


@pytest.mark.parametrize(
    "text",
    [
        "resnet51",
        "resnet18!k.depths=x",
        "!damaged",
        "![x](//evil.example/p.png)",
        "x" * 5000,
        "resnet18!k.image_size=1",
    ],
)
def test_a_damaged_pin_is_one_sentence_that_goes_away_and_the_page_works(text: str) -> None:
    app = open_app(view="compare", preset="resnet18", pin1="vgg11", pin2=text)
    (notice,) = [element.value for element in app.warning]
    assert notice.startswith("In the link: pin2=")
    assert len(notice) < 500
    assert "![" not in notice
    assert pinned(app) == ["vgg11"]
    assert not errors(app)
    app.segmented_control(key="widget:view").set_value("contest").run()
    assert not app.warning


def test_a_pin_of_ones_own_weights_says_after_a_reload_that_they_are_gone() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="zfnet_mini!w=file%3A0123456789ab")
    (notice,) = [element.value for element in app.warning]
    assert "is not here any more" in notice
    assert "Trained here" in notice


def test_pins_move_up_so_that_none_of_the_places_between_is_empty() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="nonsense", pin3="vgg11")
    press(app, "pin")
    assert [link(app).get(f"pin{place}") for place in (1, 2, 3)] == ["vgg11", "resnet18", None]
    assert metrics(app) == {}


def test_two_of_one_preset_have_two_names() -> None:
    app = open_app(view="compare", preset="resnet18", pin1="resnet18!k.depths=1,1,1,1")
    press(app, "pin")
    names = [decode_variant(text).name for text in pinned(app)]
    assert names == ["resnet18", "resnet18 (2)"]
    assert replace(decode_variant(pinned(app)[1]), name="") == replace(decode_variant("resnet18"), name="")
    assert len(names) <= pins.MOST_PINS


def test_the_workbench_pins_what_is_edited_there() -> None:
    app = open_app(view="workbench", preset="resnet18", k__depths="2,2,3,2")
    assert pinned(press(app, "pin")) == ["resnet18!k.depths=2,2,3,2"]
    (button,) = [button for button in app.button if button.key == "pin"]
    assert button.disabled
    assert not errors(app)
