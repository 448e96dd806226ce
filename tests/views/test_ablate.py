"""The panel that switches parts of a network off."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explorer.views.workbench import ablate
from tests.support.page import errors, link, open_app

SKIP = "layer1.0.add~act"


def opened(**others: str) -> AppTest:
    return open_app(preset="resnet_mini", panel="ablate", **{"layer": "layer1.0.add", **others})


def table(app: AppTest) -> dict[str, list[str]]:
    return {str(name): list(column) for name, column in app.table[0].value.items()}


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption))


def test_a_skip_is_switched_off_by_its_own_switch_and_on_again() -> None:
    app = opened()
    assert list(table(app)) == ["", "Whole"]
    (branch, skip) = (toggle for toggle in app.toggle if "branch" in (toggle.key or ""))
    assert (branch.label, skip.label) == ("layer1.0.bn2", "act (skip connection)")
    skip.set_value(False).run()
    assert link(app)["off"] == SKIP
    found = table(app)
    assert found["Whole"] != found["Without"]
    assert "Off: act at layer1.0.add" in texts(app)
    app.button(key="all on").click().run()
    assert "off" not in link(app)
    assert list(table(app)) == ["", "Whole"]
    assert not errors(app)


def test_channels_are_switched_off_beside_a_branch() -> None:
    app = opened(off=SKIP)
    app.multiselect(key="widget:channels off layer1.0.add").set_value([3, 5]).run()
    assert link(app)["off"] == f"{SKIP};layer1.0.add!3,5"
    assert "channels 3, 5 of layer1.0.add" in texts(app)
    assert not errors(app)


def test_the_maps_of_the_chosen_layer_are_shown_where_they_change() -> None:
    after = texts(opened(off=SKIP, layer="layer2.0.conv1"))
    assert "Maps of layer2.0.conv1, whole above, without below" in after
    assert "those with the greatest mean" in after
    before = texts(opened(off=SKIP, layer="conv1"))
    assert "They stay as they are" in before
    assert "Maps of" not in texts(opened(off=SKIP, layer="fc"))


def test_what_is_not_in_the_network_is_not_off() -> None:
    app = opened(off=f"{SKIP};layer9.add~act;layer1.0.conv1!9999;layer1.0.conv1~act")
    assert "Off: act at layer1.0.add]" in texts(app)
    assert not errors(app)


def test_a_damaged_link_is_told_and_the_network_is_whole() -> None:
    app = opened(off="layer1.0.add")
    assert any("no layer with a branch or channels" in warning.value for warning in app.warning)
    assert list(table(app)) == ["", "Whole"]


def test_the_accuracy_falls_without_a_residual_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablate, "JUDGED", 60)
    app = opened(off="layer3.0.add~layer3.0.bn2")
    app.toggle(key="widget:judged").set_value(True).run(timeout=120)
    for _ in range(30):
        if "right with all parts" in texts(app):
            break
        app.run(timeout=120)
    said = next(text.value for text in app.markdown if "right with all parts" in text.value)
    whole, ablated = (float(part.split(" %")[0].replace("*", "")) for part in said.split(", "))
    assert whole > 95
    assert ablated < 60


def test_random_weights_are_not_judged() -> None:
    app = open_app(preset="resnet_mini", weights="random", panel="ablate", layer="layer1.0.add", off=SKIP)
    assert not [toggle for toggle in app.toggle if toggle.label.startswith("Accuracy")]
    assert not errors(app)
