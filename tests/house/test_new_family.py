"""Adding an architecture is one new file: the command line, the app and the parametrised tests find it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.places import ROOT

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


def params(width: int) -> int:
    """Of the toy: a convolution, its norm, and a linear layer for 12 classes."""
    return 3 * width * 9 + 2 * width + (width + 1) * 12


SCRIPT = """
import contextlib, io, json, sys
import pytest
from streamlit.testing.v1 import AppTest
from explorer.cli.main import main

def printed(*argv):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(argv) == 0
    return text.getvalue()

def metrics():
    return {metric.label: metric.value for metric in app.metric}

app = AppTest.from_file("app.py", default_timeout=60)
app.query_params.update({"preset": "zfnet_mini", "panel": "knobs"})
app.run()
app.selectbox(key="widget:architecture").set_value("toy").run()
title, before = app.title[0].value, metrics()
next(widget for widget in (*app.number_input, *app.slider) if widget.key.endswith(" width")).set_value(32).run()
assert not app.exception and not app.error
listed, described = printed("list"), json.loads(printed("describe", "toy_24", "--set", "width=32", "--json"))
print(json.dumps({"list": listed, "describe": described, "title": title, "before": before, "after": metrics()}))
pytest.main(["tests/models/test_families.py", "-k", "toy or broken", "-m", "not fuzz", "-q", "-rA", "--tb=no",
             "-p", "no:cacheprovider"])
"""


@dataclass(frozen=True)
class Found:
    """What a process saw that looks for architectures in one more folder."""

    seen: dict[str, Any]
    passed: set[str]
    failed: set[str]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("families")
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    (folder / "broken.py").write_text(BROKEN, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"EXPLORER_FAMILIES": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    outcomes = re.findall(r"^(PASSED|FAILED) tests/models/test_families\.py::(\S+)", done.stdout, re.MULTILINE)
    passed, failed = ({test for outcome, test in outcomes if outcome == wanted} for wanted in ("PASSED", "FAILED"))
    return Found(json.loads(done.stdout.splitlines()[0]), passed, failed)


def test_one_file_is_a_new_architecture_on_the_command_line(found: Found) -> None:
    assert "2030  Toy              toy_24" in found.seen["list"].splitlines()
    assert found.seen["describe"]["params"] == params(32)
    assert found.seen["describe"]["receptive_field"]["size"] == [3, 3]


def test_one_file_is_a_new_architecture_in_the_app_with_controls_for_its_knobs(found: Found) -> None:
    assert found.seen["title"] == "Toy · toy_24"
    assert [found.seen[when]["Parameters"] for when in ("before", "after")] == [f"{params(24):,}", f"{params(32):,}"]


def test_the_tests_of_every_family_run_on_a_new_one(found: Found) -> None:
    assert {test for test in found.passed if "toy" in test} == {
        "test_preset_holds_the_rules_of_its_spec[toy_24]",
        "test_preset_trains[toy_24]",
        "test_tools_can_reach_every_operation[toy_24]",
        "test_building_is_deterministic_under_a_seed[toy]",
        "test_ends_of_every_knob_build_or_are_refused_by_name[toy]",
    }
    assert not any("toy" in test for test in found.failed)


def test_the_tests_of_every_family_fail_on_a_broken_one(found: Found) -> None:
    assert {"test_preset_trains[broken_24]", "test_tools_can_reach_every_operation[broken_24]"} <= found.failed
