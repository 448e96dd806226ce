"""Networks of torchvision and timm by name in the page: found in the list, with every view that needs no Spec."""

from __future__ import annotations

import pytest
import torch
import torchvision
from streamlit.testing.v1 import AppTest

from explorer.networks import libraries
from explorer.views.workbench.page import OF_PRESETS, PANELS
from tests.support.page import errors, link, metrics, open_app

SMALL = "torchvision:squeezenet1_1"
SEGMENTS = "torchvision:lraspp_mobilenet_v3_large"
BACKBONE = "torchvision:ssdlite320_mobilenet_v3_large.backbone"


def finished(app: AppTest) -> AppTest:
    """The page after its jobs have ended."""
    for job in app.session_state["jobs"].values() if "jobs" in app.session_state else ():
        assert job.wait(60)
    return app.run()


def test_the_list_has_our_architectures_first_then_both_libraries_and_a_choice_opens_the_network() -> None:
    app = open_app()
    box = app.selectbox(key="widget:architecture")
    listed = [box.options.index(name) for name in ("1998 · LeNet-5", "torchvision · resnet18", "timm · convnext_atto")]
    assert listed == sorted(listed)
    assert "torchvision · fcn_resnet50, segmentation" in box.options
    box.set_value(SMALL).run()
    assert not errors(app)
    assert link(app) == {"preset": SMALL}
    assert app.title[0].value == "torchvision · squeezenet1_1"
    own = torchvision.models.squeezenet1_1(weights=None)
    assert metrics(app)["Parameters"] == f"{sum(p.numel() for p in own.parameters()) / 1e6:.1f} M"
    box = app.selectbox(key="widget:architecture")
    box.set_value("lenet").run()
    assert not errors(app)
    assert link(app) == {"preset": "lenet5"}


def test_panels_of_presets_are_not_shown_and_a_sentence_says_whose_they_are() -> None:
    app = open_app(preset=SMALL, panel="knobs")
    assert not errors(app)
    switch = app.segmented_control(key="widget:panel")
    assert switch.value == "layer"
    assert set(switch.options) == {title for name, (title, _) in PANELS.items() if name not in OF_PRESETS}
    assert any(caption.value.startswith("Knobs, Budget, Lineage and Changes are of presets") for caption in app.caption)


@pytest.mark.parametrize("panel", [name for name in PANELS if name not in OF_PRESETS])
def test_every_other_panel_is_drawn(panel: str) -> None:
    app = finished(open_app(preset=SMALL, panel=panel))
    assert not errors(app)
    assert not app.warning


@pytest.mark.parametrize("view", ["maps", "occlusion", "deconvnet", "atlas", "attribution", "compare"])
def test_every_view_of_a_network_is_drawn(view: str) -> None:
    app = finished(open_app(preset=SMALL, view=view, window="96", stride="96", methods="gradcam"))
    assert not errors(app)
    assert not app.warning


def test_a_network_of_a_library_can_be_pinned_and_compared_with_a_preset() -> None:
    app = open_app(preset=SMALL)
    app.button(key="pin").click().run()
    app.selectbox(key="widget:architecture").set_value("lenet").run()
    assert link(app)["pin1"].startswith("torchvision%3Asqueezenet1_1")
    app.segmented_control(key="widget:view").set_value("compare").run()
    assert not errors(finished(app))
    heads = [text.value for text in app.markdown if "-badge[" in text.value and "**" in text.value]
    assert [name for head in heads for name in ("squeezenet1_1", "lenet5") if name in head.replace("\\", "")] == [
        "squeezenet1_1", "lenet5",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [SEGMENTS, BACKBONE])
def test_what_returns_no_value_per_class_has_maps_and_occlusion_says_why_there_is_none(name: str) -> None:
    app = finished(open_app(preset=name, view="maps"))
    assert not app.exception
    assert any(metric.label == "Channels" for metric in app.metric)
    app = finished(open_app(preset=name, view="occlusion", window="300", stride="300"))
    (error,) = errors(app)
    assert "there is no class to take" in error


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:resnet19", "is no network of torchvision; the nearest is torchvision:resnet18"),
        ("torchvision:fcos_resnet50_fpn", "the nearest is torchvision:fcos_resnet50_fpn.backbone"),
        ("mine:net", "is no preset, nor a name of torchvision or timm"),
    ],
)
def test_a_link_to_a_network_that_there_is_not_names_the_nearest(name: str, said: str) -> None:
    app = open_app(preset=name)
    (warning,) = (one.value.replace("\\", "").replace("\u2060", "") for one in app.warning)
    assert said in warning
    assert app.title[0].value == "ResNet · resnet50"


def test_without_timm_a_name_of_its_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "has_timm", lambda: False)
    assert libraries.why_unknown("timm:resnet18").endswith("pip install 'cnn-explorer[timm]'")
    assert "pip install" in open_app().selectbox(key="widget:architecture").help


@pytest.mark.parametrize("name", [name for name, kind in libraries.torchvision_kinds().items() if kind == "detection"])
def test_a_backbone_is_that_of_the_detector_without_its_weights(name: str) -> None:
    with torch.device("meta"):
        whole = torchvision.models.get_model(name.removesuffix(".backbone"), weights=None, weights_backbone=None)
    ours = libraries.library_module(f"torchvision:{name}", "meta")
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in whole.get_submodule("backbone").state_dict().items()
    }
