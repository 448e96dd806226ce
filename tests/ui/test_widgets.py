"""Every knob of every Spec has a control that shows and changes it, and a way back."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.networks import knob_paths
from explorer.networks.knob_text import plain
from explorer.ui import knob_layout
from models.spec import NetSpec, Spec, knob
from tests.support.page import open_groups

ARCHITECTURES = [entry.name for entry in models.architectures()]


def script() -> None:
    """A page of knobs, with the changed ones in view of the test."""
    import streamlit as st

    import models
    from explorer.ui import state, widgets

    state.begin(())
    state.put_knobs(st.session_state.get("values", {}))
    widgets.knobs(models.preset(state.get("preset")).spec)
    st.session_state["changed"] = dict(state.knobs())
    state.end()


def page(preset: str, **knobs: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["preset"] = preset
    for name, text in knobs.items():
        app.query_params[f"k.{name}"] = text
    open_groups(app, preset).run()
    assert not app.exception
    return app


def changed(app: AppTest) -> dict[str, Any]:
    assert not app.exception
    return app.session_state["changed"]


def controls(app: AppTest) -> dict[str, Any]:
    """Controls by path: "widths 0"."""
    kinds = (app.number_input, app.slider, app.selectbox, app.toggle)
    found = {widget.key: widget for kind in kinds for widget in kind if widget.key}
    return {key.split(" ", 2)[2]: widget for key, widget in found.items() if key.startswith("widget:knob ")}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_knob_has_a_control_with_its_value(name: str) -> None:
    preset = next(iter(next(a for a in models.architectures() if a.name == name).presets))
    spec = models.preset(preset).spec
    app = page(preset)
    found = controls(app)
    for field, described in type(spec).knobs().items():
        value = getattr(spec, field)
        if field in knob_layout.in_tables(type(spec)):
            assert list(app.data_editor[0].value[field]) == list(value)
        elif isinstance(value, tuple):
            assert [found[f"{field} {i}"].value for i in range(len(value))] == list(value)
        else:
            assert found[field].value == value
            assert described.help in found[field].help
            if isinstance(value, float) and described.choices is None:
                assert float(found[field].proto.format % value) == value, "the format rounds it"
                assert 0 < found[field].step <= max(value, 0.1), "one step is more than all of it"
    assert changed(app) == {}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_field_is_in_one_group(name: str) -> None:
    spec = next(a for a in models.architectures() if a.name == name).spec
    listed = [field for fields in knob_layout.groups(spec).values() for field in fields]
    assert sorted(listed) == sorted(spec.model_fields)
    assert list(knob_layout.groups(spec))[-1] == "Input and classes"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("dropout", 0.25, {"dropout": 0.25}),
        ("norm", "group", {"norm": "group"}),
        ("pool_ceil", False, {"pool_ceil": False}),
        ("pool_stride", 1, {"pool_stride": 1}),
        ("num_classes", 7, {"num_classes": 7}),
        ("fc_widths 1", 512, {"fc_widths": (4096, 512)}),
    ],
)
def test_a_control_changes_its_knob_and_reset_brings_it_back(path: str, value: Any, expected: dict[str, Any]) -> None:
    app = page("zfnet")
    controls(app)[path].set_value(value).run()
    assert changed(app) == expected
    app.button(key=f"reset {path.split(' ')[0]}").click().run()
    assert changed(app) == {}


def test_marks_say_what_the_paper_and_the_preset_have() -> None:
    app = page("zfnet", pool_kernel="2")
    assert any("differs from paper and preset: 3" in element.value for element in app.markdown)
    app = page("zfnet_mini", dropout="0.4")
    marks = [element.value for element in app.markdown if "badge" in element.value]
    assert any("paper: 0.5" in mark and "preset: 0.2" in mark for mark in marks)
    assert any("differs from the paper: 96, 256, 384, 384, 256" in mark for mark in marks)


def test_a_stage_is_added_to_and_taken_from_all_its_knobs_at_once() -> None:
    app = page("vgg16")
    click(app, "Add stage")
    assert changed(app) == {"depths": (2, 2, 3, 3, 3, 3), "widths": (64, 128, 256, 512, 512, 512)}
    assert button(app, "Add stage").disabled
    models.spec("vgg16", **changed(app))
    click(app, "Remove stage")
    assert changed(app) == {}


def test_a_list_that_may_be_empty_can_be_emptied_and_filled() -> None:
    app = page("zfnet")
    click(app, "Remove FC widths")
    click(app, "Remove FC widths")
    assert changed(app) == {"fc_widths": ()}
    assert button(app, "Remove FC widths").disabled
    click(app, "Add FC widths")
    assert len(changed(app)["fc_widths"]) == 1


def test_each_stage_of_modules_has_a_table_and_the_stages_can_be_added_to() -> None:
    app = page("googlenet")
    stages = models.preset("googlenet").spec.model_dump()["stages"]
    assert [list(table.value["reduce3"]) for table in app.data_editor] == [
        [module["reduce3"] for module in stage] for stage in stages
    ]
    click(app, "Remove stage")
    assert len(changed(app)["stages"]) == 2
    click(app, "Add block")  # the first stage's
    assert len(changed(app)["stages"][0]) == len(stages[0]) + 1
    models.spec("googlenet", **changed(app))


def test_a_value_that_the_knob_refuses_is_said_below_the_table_with_what_it_takes_and_is_not_lost() -> None:
    app = page("resnet50")
    app.session_state["values"] = {"depths": (3, 40, 6, 3)}
    app.run()
    said = [element.value for element in app.markdown if "error" in element.value]
    assert said == [":red[:material/error: Stage 2: depths=40 is above its highest value 36; it takes 1 to 36.]"]
    assert list(app.data_editor[0].value["depths"]) == [3, 40, 6, 3]


def test_a_tiny_float_is_shown_and_moves_by_steps_of_its_own_size() -> None:
    layer_scale = controls(page("convnext_tiny"))["layer_scale"]
    assert (layer_scale.value, layer_scale.proto.step, layer_scale.proto.format) == (1e-6, 1e-6, "%g")
    app = layer_scale.set_value(2e-6).run()
    assert changed(app) == {"layer_scale": 2e-6}


@pytest.mark.parametrize(
    ("preset", "name", "text", "added"),
    [
        ("mobilenet_v2", "stages", "[]", "Add stage"),
        ("googlenet", "stages", "[]", "Add stage"),
        ("googlenet", "stages", "[[]]", "Add block"),
        ("inception_v2", "modules", "[]", "Add module"),
    ],
)
def test_a_list_that_a_link_emptied_is_filled_with_what_the_preset_has(
    preset: str, name: str, text: str, added: str
) -> None:
    app = page(preset, **{name: text})
    click(app, added)
    own = plain(models.preset(preset).spec)[name]
    assert changed(app)[name] == ((own[0][-1],),) if text == "[[]]" else (own[-1],)


def button(app: AppTest, label: str) -> Any:
    return next(b for b in app.button if b.label == label)


def click(app: AppTest, label: str) -> None:
    button(app, label).click().run()
    assert not app.exception


# -- layout -----------------------------------------------------------------------------------------------------------


class SampleSpec(NetSpec):
    depths: tuple[int, ...] = knob((1, 1), low=1, high=3, length=(1, 4))
    widths: tuple[int, ...] = knob((8, 8), low=1, high=64, length=(1, 4))
    fc_widths: tuple[int, ...] = knob((), low=1, high=64, length=(0, 2))
    stem_kernel: int = knob(3, choices=(1, 3, 5))
    stem_stride: int = knob(1, low=1, high=4)
    act: str = knob("relu", choices=("relu", "none"))


def test_knobs_of_equal_length_form_the_stages_and_words_shared_by_names_form_groups() -> None:
    assert knob_layout.groups(SampleSpec) == {
        "Per stage": ["depths", "widths"],
        "Layers": ["fc_widths", "act"],
        "Stem": ["stem_kernel", "stem_stride"],
        "Input and classes": ["num_classes", "in_channels", "image_size"],
    }
    assert knob_layout.lengths(SampleSpec) == [["depths", "widths"], ["fc_widths"]]


def test_values_inside_nested_data_are_replaced_without_touching_the_rest() -> None:
    before = {"stages": (({"width": 1}, {"width": 2}),), "act": "relu"}
    after = knob_paths.changed(before, ("stages", 0, 1, "width"), 9)
    assert after == {"stages": (({"width": 1}, {"width": 9}),), "act": "relu"}
    assert before["stages"][0][1] == {"width": 2}
    assert after["stages"][0][0] is before["stages"][0][0]


def test_nested_specs_are_recognised() -> None:
    assert knob_layout.is_nested(tuple[tuple[Spec, ...], ...])
    assert knob_layout.is_nested(SampleSpec)
    assert not knob_layout.is_nested(tuple[int, ...])
    assert not knob_layout.is_nested(int)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "yes"), ((96, 256), "96, 256"), ((), "none"), (0.5, "0.5"), ("relu", "relu")]
)
def test_values_are_written_for_people(value: Any, text: str) -> None:
    assert knob_layout.show(value) == text
