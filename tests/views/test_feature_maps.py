"""Feature maps on the page: colours and places of maps, choices, the link, vectors, and values that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import models
from explorer.analysis.activations import Prediction, channel_statistics, histogram
from explorer.analysis.structure import analyze
from explorer.figures import maps, prediction, raster
from explorer.images.codec import encode_png
from explorer.receptive_field.intervals import Axis
from explorer.ui import layer_maps
from explorer.ui.layer_maps import LayerMaps
from tests.support.page import TRAINED, load_with_nan
from tests.support.places import APP


def open_maps(**link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in {"preset": TRAINED, "view": "maps", **link}.items():
        app.query_params[name] = text
    app.run()
    assert not app.exception
    return app


def headings(app: AppTest) -> list[str]:
    return [element.value for element in app.subheader]


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


# -- figures ----------------------------------------------------------------------------------------------------------


def test_colours_run_from_low_to_high_and_mark_what_is_not_finite() -> None:
    found = raster.colourise(np.array([-1.0, 0.0, 2.0, 9.0, np.nan, np.inf]), (0.0, 2.0))
    dark, bright = [0, 0x22, 0x4E], [0xFE, 0xE8, 0x38]
    assert found.tolist() == [dark, dark, bright, bright, [*raster.INVALID], [*raster.INVALID]]


def test_a_constant_map_has_one_colour_and_limits_pass_over_nan() -> None:
    values = np.array([[3.0, np.nan], [3.0, 3.0]])
    assert raster.limits(values) == (3.0, 3.0)
    assert len(np.unique(raster.colourise(values, (3.0, 3.0)).reshape(-1, 3), axis=0)) == 2
    assert raster.limits(np.full(3, np.nan)) == (0.0, 0.0)


def test_cells_lie_where_their_units_look() -> None:
    everything = np.array([[0], [9]])
    rows = Axis(1, 4, ((1, 3),), np.array([[1, 5, 9], [3, 7, 11]]))  # unit i sees pixels 4i + 1 to 4i + 3
    at = raster.placed((rows, Axis(1, 0, ((0, 9),), everything, is_global=True)), (3, 2), (12, 10))
    assert at.rows.tolist() == [2.5, 6.5, 10.5]
    assert at.columns.tolist() == [2.5, 7.5]
    assert raster.edges(at.rows, 12).tolist() == [0, 4.5, 8.5, 12.5], "the narrow margin goes to the first cell"


def test_a_wide_margin_stays_clear() -> None:
    at = raster.Placement(np.array([6.5, 9.5]), np.array([6.5, 9.5]), (16, 16))
    values, covered = raster.spread(np.ones((2, 2)), at, 1, smooth=False)
    assert values.shape == covered.shape == (16, 16)
    assert np.flatnonzero(covered[8]).tolist() == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("smooth", [False, True])
def test_maps_of_the_image_size_are_drawn_as_they_are(smooth: bool) -> None:
    values = np.random.default_rng(0).random((8, 6))
    found, covered = raster.spread(values, raster.stretched((8, 6), (8, 6)), 1, smooth)
    np.testing.assert_allclose(found, values)
    assert covered.all()


def test_smooth_is_linear_between_centres_and_keeps_nan_in_its_place() -> None:
    at = raster.stretched((1, 2), (1, 4))
    found, _ = raster.spread(np.array([[0.0, 1.0]]), at, 1, smooth=True)
    np.testing.assert_allclose(found, [[0.0, 0.25, 0.75, 1.0]])
    broken, _ = raster.spread(np.array([[np.nan, 1.0, 2.0]]), raster.stretched((1, 3), (1, 3)), 2, smooth=True)
    assert np.isnan(broken[0]).tolist() == [True, True, True, False, False, False]


def test_opacity_mixes_picture_and_map() -> None:
    picture, colours = np.zeros((1, 2, 3), np.uint8), np.full((1, 2, 3), 200, np.uint8)
    found = raster.blend(picture, colours, np.array([[True, False]]), 0.5)
    assert found[0, :, 0].tolist() == [100, 0]


def test_the_grid_has_every_map_in_its_own_colours() -> None:
    values = np.stack([np.full((2, 2), v) for v in (0.0, 1.0, 2.0)])
    found = maps.grid(values, [(0.0, 2.0)] * 3, columns=2)
    side = maps.TILE_PX
    assert found.shape == (2 * side + maps.GAP_PX, 2 * side + maps.GAP_PX, 4)
    last = side + maps.GAP_PX
    assert found[0, 0].tolist() == [0, 0x22, 0x4E, 255]
    assert found[last, 0].tolist() == [0xFE, 0xE8, 0x38, 255]
    assert found[last, last].tolist() == [0, 0, 0, 0], "no fourth map"


def test_tiles_of_large_maps_are_small_and_keep_their_form() -> None:
    assert maps.tile(np.zeros((448, 224)), (0, 1)).shape == (maps.TILE_PX, maps.TILE_PX // 2, 3)
    assert maps.tile(np.zeros((7, 7)), (0, 1)).shape == (7, 7, 3)


def test_the_histogram_compares_a_channel_with_its_layer_in_shares() -> None:
    layer = torch.stack([torch.zeros(10, 10), torch.ones(10, 10)])
    figure: Any = maps.distribution(histogram(layer, bins=4), layer[1].numpy(), "channel 1")
    assert figure.data[0].y.tolist() == [0.5, 0, 0, 0.5]
    assert figure.data[1].y.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1e-5, "< 0.1 %"), (0.012, "1.2 %"), (0.37, "37 %"), (0.997, "99.7 %"), (0.9999, "100 %")],
)
def test_probabilities_for_people(share: float, text: str) -> None:
    assert prediction.percent(share) == text


def test_bars_name_the_classes_best_first() -> None:
    figure: Any = prediction.bars(Prediction(((2, 0.9), (0, 0.1)), is_finite=True), ["cat", "dog", "boat"])
    assert list(figure.layout.yaxis.ticktext) == ["boat", "cat"]
    assert list(figure.data[0].text) == ["90 %", "10 %"]


def test_values_that_are_no_probabilities_are_written_as_they_are_and_fit() -> None:
    figure: Any = prediction.bars(Prediction(((0, 12.345678), (1, -3.0)), True, "logits"), ["cat", "dog"])
    assert list(figure.data[0].text) == ["12.35", "-3"]
    assert figure.layout.xaxis.range[0] < -3
    assert figure.layout.xaxis.range[1] > 12.4


def test_marks_in_the_names_of_a_persons_classes_are_shown_and_not_read() -> None:
    names, shown = ["<b>cat</b> & <a href='//x.example'>y</a>", "dog"], "&lt;b&gt;cat&lt;/b&gt; &amp; &lt;a"
    bars: Any = prediction.bars(Prediction(((0, 0.9), (1, 0.1)), is_finite=True), names)
    vector: Any = maps.vector(np.arange(2.0), names)
    for written in (bars.layout.yaxis.ticktext, bars.data[0].customdata, vector.data[0].customdata):
        assert written[0].startswith(shown)
    assert vector.layout.xaxis.ticktext[0].startswith(shown)


@pytest.mark.parametrize("count", [12, 1000])
def test_a_vector_with_nan_is_drawn_without_it(count: int) -> None:
    values = np.arange(count, dtype=np.float32)
    values[3] = np.nan
    figure: Any = maps.vector(values, None, chosen=5)
    assert np.isnan(figure.data[0].y[3])
    assert figure.data[0].y[-1] == count - 1


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_opens_on_a_map_in_the_middle_of_the_trained_network() -> None:
    app = open_maps()
    assert app.selectbox(key="widget:maps layer").value == "features.10"
    assert metrics(app)["Channels"] == "80"
    assert headings(app)[:3] == ["Prediction", "Layer", "Channels"]


def test_a_link_opens_its_layer_channel_and_unit() -> None:
    app = open_maps(layer="features.2", channel="5", row="0", column="31", rank="number", scale="shared", smooth="1")
    assert "Channel 5" in headings(app)
    assert any("row 0, column 31 sees: rows 0 to" in caption.value for caption in app.caption)
    assert app.selectbox(key="widget:scale").value == "shared"


def test_a_link_may_name_a_module_which_the_list_names_too() -> None:
    app = open_maps(preset="resnet_mini", layer="layer3")
    chosen = app.selectbox(key="widget:maps layer")
    assert str(chosen.value).startswith("layer3.")
    assert sum(option.endswith("output of layer3") for option in chosen.options) == 1
    assert not app.warning
    assert not any("has no maps to show" in caption.value for caption in app.caption)


def test_another_layer_forgets_channel_and_unit() -> None:
    app = open_maps(layer="features.2", channel="5", row="0", column="31")
    app.selectbox(key="widget:maps layer").select("features.16").run()
    assert not app.exception
    assert "features.16" in app.query_params["layer"]
    assert not {"channel", "row", "column"} & set(app.query_params)


def test_the_place_in_the_order_chooses_the_channel() -> None:
    app = open_maps()
    app.number_input(key="widget:maps place").set_value(2).run()
    second = headings(app)[3]
    app.selectbox(key="widget:rank").select("number").run()
    assert headings(app)[3] == second, "a chosen channel stays while the order changes"
    assert app.number_input(key="widget:maps place").value == int(second.split()[-1]) + 1


def test_pages_of_a_wide_layer() -> None:
    app = open_maps(page="99")
    page = app.number_input(key="widget:maps page")
    assert (page.value, page.max) == (3, 3), "a page of a link beyond the last is the last"


def test_a_layer_without_positions_is_a_chart_with_class_names() -> None:
    app = open_maps(layer="classifier.6")
    assert headings(app) == ["Prediction", "Layer", "Activations"]
    assert set(app.dataframe[0].value.columns) == {"Unit", "Class", "Activation"}
    assert next(iter(app.dataframe[0].value["Class"])) == "cat"


def test_a_hidden_layer_as_long_as_the_list_of_classes_has_no_class_names() -> None:
    app = open_maps(layer="classifier.3", **{"k.fc_widths": "64,12"})
    assert not app.error
    assert len(app.dataframe[0].value) == 12
    assert set(app.dataframe[0].value.columns) == {"Unit", "Activation"}


def test_classes_are_the_output_and_what_is_only_reshaped_to_it() -> None:
    graph = analyze(models.build("nin_mini", device="meta"), (3, 64, 64)).graph
    named = [layer.id for layer in graph if layer_maps.holds_classes(graph, layer.id)]
    assert [graph[name].kind for name in named] == ["adaptive_avg_pool", "flatten"]


def test_behind_a_gate_the_frame_is_what_the_unit_sees_without_it() -> None:
    captions = [caption.value for caption in open_maps(preset="senet_mini").caption]
    assert any("sees without gates: rows" in caption for caption in captions)


def test_how_probabilities_were_made_is_said_and_what_does_not_fit_leaves_the_maps() -> None:
    captions = [caption.value for caption in open_maps(output="sigmoid").caption]
    assert "Probabilities: sigmoid of each value by itself." in captions
    app = open_maps(output="probabilities")
    assert any(error.value.startswith("output='probabilities': the values") for error in app.error)
    assert "Channels" in headings(app)


def test_nan_is_flagged_and_ranked_last() -> None:
    maps_found = torch.rand(3, 4, 4)
    maps_found[0] = torch.inf
    maps_found[1, 0, 0] = torch.nan
    found = LayerMaps("x", maps_found.numpy(), channel_statistics(maps_found), histogram(maps_found))
    assert found.broken == 2
    for by in ("mean", "maximum", "positive_share"):
        assert found.order(by)[0] == 2
    assert found.strongest(1) != (0, 0)


def test_a_network_with_nan_says_so_and_the_page_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    load_with_nan(monkeypatch)
    app = open_maps(seed="77", weights="random", layer="features.8")
    sentences = [error.value for error in app.error]
    assert "The output holds NaN or infinity, so there is no prediction." in sentences
    assert any(sentence.startswith("3 of 80 channels hold NaN") for sentence in sentences)
    assert headings(app)[3] not in {"Channel 0", "Channel 1", "Channel 2"}


def test_a_picture_of_one_pixel_has_maps() -> None:
    app = open_maps()
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader(key="upload").upload("dot.png", encode_png(np.zeros((1, 1, 3), np.uint8))).run()
    assert not app.exception
    assert not app.error
    assert headings(app)[:3] == ["Prediction", "Layer", "Channels"]


def test_without_a_picture_there_is_one_sentence() -> None:
    app = open_maps()
    app.segmented_control(key="widget:source").set_value("upload").run()
    assert [error.value for error in app.error] == ["Choose a picture in the sidebar first."]


def test_layers_that_are_laid_out_as_tokens_or_heads_are_stretched_and_frame_nothing() -> None:
    app = open_maps(preset="anynet_mini_transformer", layer="stages.2.0.2.block.self_attention.gather.select")
    assert not app.error
    assert any("not the picture's" in caption.value for caption in app.caption)
