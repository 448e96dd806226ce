"""What the page offers as code makes what the page shows: the script, the command, and the notebook."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import explorer
import models
from explorer.cli.main import main
from explorer.images import codec, samples
from explorer.networks import catalog
from explorer.networks.questions import (
    AttributionQuestion,
    DeconvnetQuestion,
    FeaturesQuestion,
    OcclusionQuestion,
    StructureQuestion,
)
from explorer.networks.script import PageQuestion, Script
from models.weights.expected_input import InputChoices
from tests.support.page import TRAINED, open_app

LINKS = {
    "features": {"view": "maps", "layer": "features.8", "fit": "stretch"},
    "occlude": {"view": "occlusion", "window": "24", "stride": "20", "occluded": "features.8", "method": "full"},
    "deconvnet": {"view": "deconvnet", "layer": "features.8", "channel": "3", "back_rules": "relu:guided"},
    "attribute": {"view": "attribution", "methods": "saliency,gradcam", "attributed": "2"},
}


def code(app: AppTest) -> tuple[str, str]:
    """The script and the command."""
    assert not app.exception
    script, command = app.code
    return script.value, command.value


def run(script: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(compile(script, "script", "exec"), made)
    return made


def answer(made: dict[str, Any]) -> np.ndarray:
    """What the script leaves."""
    if "maps" in made:
        return made["maps"]
    if "signal" in made:
        return made["signal"].numpy()
    return made["found"].probability if not isinstance(made["found"], list) else made["found"][0].map


FILES = {"features": "maps.npy", "occlude": "occlusion/probability.npy", "deconvnet": "projection/projection.npy",
         "attribute": "attribution/saliency.npy"}  # fmt: skip


@pytest.mark.parametrize("asked", LINKS)
def test_script_and_command_make_the_same(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script, command = code(open_app(preset=TRAINED, image="boat", **LINKS[asked]))
    name, *arguments = shlex.split(command.removeprefix("python -m explorer "))
    assert name == asked
    assert main([name, *arguments]) == 0
    assert np.allclose(answer(run(script)), np.load(tmp_path / FILES[asked]), atol=1e-6)


def test_the_structure_is_that_of_the_changed_network(capsys: pytest.CaptureFixture[str]) -> None:
    script, command = code(open_app(preset="vgg_mini", panel="layers", k__num_classes="4"))
    analysis = run(script)["analysis"]
    assert analysis.params == sum(p.numel() for p in models.build("vgg_mini", num_classes=4).parameters())
    assert main([*shlex.split(command.removeprefix("python -m explorer ")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == analysis.params


def test_what_a_link_says_is_what_the_script_asks() -> None:
    """The page's own answer, by the functions that its result is made of."""
    loaded = catalog.load(catalog.find(TRAINED), catalog.weights_source(TRAINED, "shipped"))
    image = loaded.input(codec.load(samples.sample("boat")).pixels)[0]
    script, _ = code(open_app(preset=TRAINED, image="boat", view="deconvnet", layer="features.8", channel="3",
                              row="2", column="4", back="guided"))  # fmt: skip
    wanted = explorer.deconvnet(loaded.module, image, "features.8", 3, (2, 4), method="guided")
    assert np.array_equal(answer(run(script)), wanted.numpy())


def test_changed_knobs_and_seed_are_in_script_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    link = {"view": "maps", "layer": "features.0", "k__num_classes": "4", "weights": "random", "seed": "8"}
    script, command = code(open_app(preset="vgg_mini", image="cat", **link))
    made = run(script)
    assert made["loaded"].classes == ("class 0", "class 1", "class 2", "class 3")
    assert main(shlex.split(command.removeprefix("python -m explorer "))) == 0
    assert np.allclose(made["maps"], np.load("maps.npy"), atol=1e-6)


QUESTIONS = [
    FeaturesQuestion("features.8"),
    OcclusionQuestion(None, 24, 20, "gray", None, "full", None),
    OcclusionQuestion(None, 24, 20, "gray", "features.4", "incremental", None, 3, 80_000_000),
    DeconvnetQuestion("features.8", None, None, "deconvnet", {}),
    AttributionQuestion(("saliency", "gradcam"), None, None, "blur", None),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.arguments()[0])
def test_the_notebook_runs_to_a_picture(question: PageQuestion) -> None:
    notebook = json.loads(Script(TRAINED, {}, "shipped", 0, "boat", True, InputChoices(), question).notebook())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    made = run("\n".join("".join(cell["source"]) for cell in cells))
    assert made["shown"].dtype == np.uint8
    assert made["shown"].shape[-1] in (3, 4)
    assert len(np.unique(made["shown"])) > 20


def test_the_notebook_of_a_structure_tells_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads(
        Script(TRAINED, {}, "shipped", 0, "boat", True, InputChoices(), StructureQuestion()).notebook()
    )
    made = run("\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"))
    assert len(capsys.readouterr().out.splitlines()) == len(made["analysis"].layers)


def test_a_picture_of_ones_own_goes_by_its_name() -> None:
    question = OcclusionQuestion(None, 24, 20, "gray", None, "auto", None)
    recipe = Script(TRAINED, {}, "my net.safetensors", 0, "my $(cat).png", False, InputChoices(fit="pad"), question)
    assert "codec.load(Path('my $(cat).png'))" in recipe.python()
    assert shlex.split(recipe.command())[5] == "my $(cat).png"
    assert "--fit=pad" in recipe.command()
