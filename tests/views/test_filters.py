"""Filters in the workbench: which are shown, how, and that a click chooses the channel."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from streamlit.testing.v1 import AppTest

from explorer.figures import filters as figures
from tests.support.page import errors, link, load_with_nan, open_trained
from tests.support.places import WEIGHTS

WEIGHT = load_file(WEIGHTS / "zfnet_mini.safetensors")["features.0.weight"].float().numpy()


def opened(layer: str, **choices: str) -> AppTest:
    """The workbench with a layer chosen, after all jobs."""
    app = open_trained(**{"panel": "layer", "layer": layer, **choices})
    for _ in range(3):
        for job in app.session_state["jobs"].values():
            job.wait(60)
        app.run()
    return app


def tiles(app: AppTest) -> list[dict[str, Any]]:
    """The tiles of the filters, which come after those of the maps."""
    found: list[Any] = [part for part in app.get("bidi_component") if part.proto.component_name == "explorer_tiles"]  # type: ignore[attr-defined]
    return json.loads(found[-1].proto.json)["tiles"]


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.main.caption)


def pixels(tile: dict[str, Any]) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(tile["source"].partition(",")[2]))))


def test_a_first_layers_filters_are_its_trained_weights_in_colour() -> None:
    app = opened("features.0")
    assert not errors(app)
    assert figures.IN_COLOURS in captions(app)
    found = tiles(app)
    norms = np.linalg.norm(WEIGHT.reshape(len(WEIGHT), -1), axis=1)
    assert [tile["id"] for tile in found] == np.argsort(-norms, kind="stable").tolist()
    for tile in found[:3]:
        own = WEIGHT[tile["id"]].transpose(1, 2, 0)
        expected = 127.5 + 127.5 * own / np.abs(own).max()
        assert np.abs(pixels(tile) - expected).max() <= 0.51
        assert tile["hint"] == f"L2 norm {norms[tile['id']]:.3g}"


def test_one_input_channel_and_all_filters_are_chosen_and_in_the_link() -> None:
    app = opened("features.4")
    assert figures.NORMS in captions(app)
    assert "The 24 of 48 with the greatest norms." in captions(app)
    app.toggle(key="widget:all_filters").set_value(True).run()
    app = opened(**link(app))
    assert "All 48 by norm." in captions(app)
    app.selectbox(key="widget:filter input").set_value(5).run()
    shown = opened(**link(app))
    assert link(shown)["filter_input"] == "5"
    assert figures.ONE_INPUT in captions(shown)
    assert len(tiles(shown)) == 48


def test_all_filters_of_a_wide_layer_are_turned_page_by_page() -> None:
    """512 filters are two pages of 256: no filter is on both, and the second has none of a greater norm."""
    choices = {"preset": "resnet18", "weights": "random", "all_filters": "1"}
    app = opened("layer4.0.conv1", **choices)
    assert "1 to 256 of 512 by norm." in captions(app)
    first = tiles(app)
    app.number_input(key="widget:filters page").set_value(2).run()
    second = tiles(opened(**link(app)))
    assert link(app)["filters_page"] == "2"
    assert len({tile["id"] for tile in first + second}) == 512

    def norm(tile: dict[str, Any]) -> float:
        return float(tile["hint"].removeprefix("L2 norm "))

    assert min(map(norm, first)) >= max(map(norm, second))


def test_another_layer_with_fewer_inputs_shows_all_of_them() -> None:
    app = opened("features.0", filter_input="20")
    assert not errors(app)
    assert figures.IN_COLOURS in captions(app)


def test_a_linear_layer_is_one_picture_of_all_its_weights() -> None:
    app = opened("classifier.6")
    assert not errors(app)
    assert "Rows are output channels, columns input channels: gray is 0" in captions(app)


def test_what_has_no_filters_shows_none() -> None:
    app = opened("features.2")
    assert not errors(app)
    assert not {":small[Filters]", ":small[Weights]"} & {text.value for text in app.markdown}


def test_weights_with_nan_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    load_with_nan(monkeypatch)
    app = opened("features.8", all_filters="1", weights="random", seed="4712")  # of no other test's network
    found = [tile for tile in tiles(app) if tile["flagged"]]
    assert [tile["label"] for tile in found] == ["0 NaN", "1 NaN", "2 NaN"]
    assert tiles(app)[-3:] == found, "they come last"
