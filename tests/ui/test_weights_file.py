"""A person's checkpoint on the page: recognised where it is chosen, fitted to a network, or loaded in part."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from streamlit.testing.v1 import AppTest
from torch import nn

import models
from explorer.ui import weights_file
from explorer.ui.markdown import markdown_safe
from tests.support.checkpoints import SAVED, finetuned, rounded, saved
from tests.support.page import errors, link, open_app, open_trained, upload
from tests.ui.test_session import script

WHOLE = save(finetuned().state_dict())


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.sidebar.caption)


def after_search(app: AppTest) -> AppTest:
    app.session_state["jobs"][weights_file.SEARCHING].wait(60)
    return app.run()


def another_head() -> bytes:
    state = finetuned().state_dict()
    return save(state | {"fc.1.weight": state.pop("fc.weight"), "fc.1.bias": state.pop("fc.bias")})


def loaded(preset: str, content: bytes, name: str) -> AppTest:
    """A page that only builds the network, with the file's weights."""
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["preset"] = preset
    return upload(app.run(), content, name)


def logits(module: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return module(torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("name", [name for name in SAVED if name != "whole.pth"])
def test_a_checkpoint_is_read_however_it_was_saved_and_gives_pytorchs_own_logits(name: str, tmp_path: Path) -> None:
    app = loaded("resnet18", saved(name, tmp_path).read_bytes(), name)
    assert not errors(app)
    expected, found = logits(rounded() if name.startswith("half") else finetuned()), app.session_state["module"]
    assert (logits(found) - expected).abs().max() <= 1e-5 * expected.abs().max()
    letters = tuple("abcde") if name == "lightning.ckpt" else tuple(f"class {i}" for i in range(5))
    assert app.session_state["classes"] == letters
    assert link(app)["k.num_classes"] == "5"


def test_a_file_is_chosen_read_said_in_one_line_and_its_classes_can_be_undone(tmp_path: Path) -> None:
    app = open_app(preset="resnet18", panel="knobs", weights="random")
    app.selectbox(key="widget:weights").set_value(weights_file.FILE).run()
    content = saved("parallel.PT", tmp_path).read_bytes()
    app.file_uploader(key="weights file").set_value(("parallel.PT", content, "application/octet-stream")).run()
    assert not errors(app)
    line = "parallel.PT: prefix 'module.' taken off; num_classes = 5, as module.fc.weight is 5×512."
    assert markdown_safe(line) in captions(app)
    assert link(app)["k.num_classes"] == "5"
    app.button(key="undo").click().run()
    assert "k.num_classes" not in link(app)
    (error,) = errors(app)
    assert error.startswith(markdown_safe("parallel.PT holds the weights of another network: fc.weight is 5×512"))


def test_a_whole_pickled_network_is_refused_with_what_to_do_and_the_page_goes_on(tmp_path: Path) -> None:
    app = upload(open_app(preset="resnet18", weights="random"), saved("whole.pth", tmp_path).read_bytes(), "whole.pth")
    (error,) = errors(app)
    assert error == markdown_safe(
        "whole.pth is a whole pickled network, which runs code when it is opened; save its tensors alone: "
        "torch.save(model.state_dict(), NEW)."
    )
    app.selectbox(key="widget:weights").set_value("random").run()
    assert not errors(app)


def test_the_network_of_a_file_is_named_and_opened_with_its_knobs_and_weights() -> None:
    app = after_search(upload(open_trained(), WHOLE, "mine.safetensors"))
    (error,) = errors(app)
    assert error.startswith("mine.safetensors holds the weights of another network")
    assert markdown_safe("mine.safetensors is resnet18 with num_classes=5: all 122 tensors fit.") in captions(app)
    app.button(key="open match").click().run()
    assert not errors(app)
    assert link(app) == {"preset": "resnet18", "k.num_classes": "5"}
    assert markdown_safe("mine.safetensors: num_classes = 5, as fc.weight is 5×512.") in captions(app)


def test_a_file_that_fits_in_part_is_loaded_in_part_when_the_person_says_so() -> None:
    app = after_search(upload(open_app(preset="resnet18", weights="random"), another_head(), "head.safetensors"))
    assert "head.safetensors is most like resnet18: 120 of its 122 tensors fit" in captions(app).replace("\\", "")
    assert "open match" not in [button.key for button in app.button], "it is the network at hand"
    app.button(key="take part").click().run()
    assert not errors(app)
    said = captions(app).replace("\\", "")
    assert "head.safetensors kept; new: fc (1 of 41 layers)." in said
    assert "Left out of the file: fc.1.bias, fc.1.weight." in said
    found = loaded("resnet18", another_head(), "head.safetensors")
    found.session_state["uploaded weights"] = app.session_state["uploaded weights"]
    module = found.run().session_state["module"]
    assert torch.equal(module.state_dict()["conv1.weight"], finetuned().state_dict()["conv1.weight"])
    assert torch.equal(module.state_dict()["fc.weight"], models.build("resnet18").state_dict()["fc.weight"])


def test_networks_of_other_libraries_take_files_too() -> None:
    app = loaded("torchvision:resnet18", WHOLE, "mine.safetensors")
    assert not errors(app)
    expected = logits(finetuned())
    assert (logits(app.session_state["module"]) - expected).abs().max() <= 1e-5 * expected.abs().max()
    page = upload(open_app(preset="torchvision:resnet18"), WHOLE, "mine.safetensors")
    assert not errors(page)
    assert markdown_safe("mine.safetensors: num_classes = 5, as fc.weight is 5×512.") in captions(page)


def test_a_file_that_is_nothing_is_refused_in_one_sentence() -> None:
    app = upload(open_trained(), b"nothing at all", "a\n<b>.pth")
    (error,) = errors(app)
    assert "is refused" in error
    assert "\n" not in error
    assert "<b>" not in error


def test_a_file_beside_the_weights_names_the_classes_and_one_of_another_count_is_refused() -> None:
    app = upload(open_app(preset="resnet18", weights="random"), WHOLE, "mine.safetensors")
    (key,) = [box.key for box in app.file_uploader if box.key and box.key.startswith("classes of")]
    app.file_uploader(key=key).set_value(("names.csv", b"0,ant\n1,bee\n", "text/csv")).run()
    assert errors(app) == ["The file names 2 classes, and the network tells 5 apart."]
    app.file_uploader(key=key).set_value(("names.csv", b"0,ant\n1,bee\n2,cow\n3,dog\n4,eel\n", "text/csv")).run()
    assert not errors(app)
    found = loaded("resnet18", WHOLE, "mine.safetensors")
    found.session_state["uploaded weights"] = app.session_state["uploaded weights"]
    assert found.run().session_state["classes"] == ("ant", "bee", "cow", "dog", "eel")
