"""The report from the page is that of the command."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from explorer.cli.main import main
from tests.support.page import TRAINED, errors, open_app, open_trained


def made(app: AppTest) -> str:
    """The page of the report, after its button was clicked."""
    next(button for button in app.button if button.label == "Make the report").click().run()
    assert app.session_state["jobs"]["report"].wait(60)
    app.run()
    assert not errors(app)
    assert "Download the report" in [button.label for button in app.download_button]
    return app.session_state["jobs"]["report"].result


def test_it_is_what_the_command_writes(tmp_path: Path) -> None:
    path = tmp_path / "net.html"
    assert main(["report", TRAINED, "cat", "--out", str(path)]) == 0
    assert made(open_trained(image="cat")) == path.read_text(encoding="utf-8")


def test_it_is_of_the_network_as_it_was_changed() -> None:
    app = open_app(preset="resnet_mini", k__num_classes="7", weights="random")
    assert "class 6" in made(app)
