"""Adding an architecture is one new file: the command line, the app and the parametrised tests find it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOY = '''
"""A family of one file."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.layers import ConvNormAct, global_pool
from models.registry import Architecture, Paper, Preset, register
from models.spec import NetSpec, knob


class ToySpec(NetSpec):
    """One convolution and a linear layer."""

    width: int = knob(24, low=8, high=64, step=8, help="Channels of the convolution.")


class Toy(nn.Module):
    def __init__(self, spec: ToySpec) -> None:
        super().__init__()
        self.conv = ConvNormAct(spec.in_channels, spec.width, 3, stride=2)
        self.pool = global_pool("average")
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(spec.width, spec.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flatten(self.pool(self.conv(x))))


register(
    Architecture(
        name="toy",
        title="Toy",
        year=2030,
        paper=Paper("N. Body", "A Toy", "nowhere", "https://example.org"),
        summary="One convolution, to see that it is found.",
        spec=ToySpec,
        builder=Toy,
        presets={"toy_24": Preset(ToySpec(image_size=64, num_classes=12))},
    )
)
'''
# The same under another name, which applies a function where a module belongs and never uses its convolution's norm.
BROKEN = TOY.replace("self.conv(x))", "functional.relu(self.conv.conv(x)))").replace("toy", "broken")
PARAMS = 3 * 24 * 9 + 2 * 24 + (24 + 1) * 12


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, which looks for architectures in `folder` too."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"EXPLORER_FAMILIES": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *argv], cwd=ROOT, env=env, capture_output=True, text=True, timeout=110)


SEEN = """
import contextlib, io, json
from streamlit.testing.v1 import AppTest
from explorer import cli

def printed(*argv):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert cli.main(argv) == 0
    return text.getvalue()

app = AppTest.from_file("app.py", default_timeout=60).run()
app.selectbox(key="widget:architecture").set_value("toy").run()
shown = [app.title[0].value, {metric.label: metric.value for metric in app.metric}]
next(widget for widget in (*app.number_input, *app.slider) if widget.key.endswith(" width")).set_value(32).run()
changed = {metric.label: metric.value for metric in app.metric}
assert not app.exception and not app.error
print(json.dumps({
    "list": printed("list"), "describe": json.loads(printed("describe", "toy_24", "--set", "width=32", "--json")),
    "title": shown[0], "metrics": shown[1], "changed": changed,
}))
"""


def test_one_file_is_a_new_architecture_in_the_command_line_and_in_the_app(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    done = run(tmp_path, "-c", SEEN)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "2030  Toy              toy_24" in found["list"].splitlines()
    wider = 3 * 32 * 9 + 2 * 32 + (32 + 1) * 12
    assert found["describe"]["params"] == wider
    assert found["describe"]["receptive_field"]["size"] == [3, 3]
    assert found["title"] == "Toy · toy_24"
    assert (found["metrics"]["Parameters"], found["changed"]["Parameters"]) == (f"{PARAMS:,}", f"{wider:,}")


def test_the_tests_of_every_family_run_on_a_new_one_and_fail_where_it_is_broken(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "broken.py").write_text(BROKEN)
    done = run(
        tmp_path, "-m", "pytest", "tests/test_families.py", "-k", "toy or broken", "-m", "not fuzz", "-q", "-rA",
        "--tb=no", "-p", "no:cacheprovider",
    )  # fmt: skip
    lines = re.findall(r"^(PASSED|FAILED) tests/test_families\.py::(\S+)", done.stdout, re.MULTILINE)
    passed, failed = ({test for outcome, test in lines if outcome == wanted} for wanted in ("PASSED", "FAILED"))
    assert {test for test in passed if "toy" in test} == {
        "test_preset_trains[toy_24]",
        "test_tools_can_reach_every_operation[toy_24]",
        "test_building_is_deterministic_under_a_seed[toy]",
        "test_ends_of_every_knob_build_or_are_refused_by_name[toy]",
    }, done.stdout + done.stderr
    assert {"test_preset_trains[broken_24]", "test_tools_can_reach_every_operation[broken_24]"} <= failed
    assert not any("toy" in test for test in failed)
