"""torchinfo's own total in the receipt: it runs on meta, changes nothing, and what no rule explains of it is said."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import streamlit as st
import torch
import torchinfo
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import models
from explorer import analyze
from explorer.analysis import receipt as receipts
from explorer.analysis.receipt import Receipt, receipt
from explorer.cli import main
from explorer.errors import UserError
from tests.support.places import ROOT
from tests.support.receipts import MODULES, counted, opened


def own(found: Receipt) -> tuple[str, int, str]:
    """By whom torchinfo's column was counted, what the rules leave of it, and why torchinfo did not count."""
    tally = found["torchinfo"]
    return tally.counted_by, tally.unexplained, tally.failure


@pytest.mark.parametrize("name", MODULES)
def test_torchinfo_counts_its_column_itself_and_the_rules_explain_all_of_it(name: str) -> None:
    make, size = MODULES[name]
    assert own(counted(make().eval(), size)) == (f"torchinfo {torchinfo.__version__}", 0, "")


class OnMetaAlone(TorchDispatchMode):
    """Fails where an operation makes a tensor with memory."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves(made):
            assert not isinstance(tensor, Tensor) or tensor.is_meta, func
        return made


def test_torchinfo_leaves_the_network_as_it_was_and_allocates_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.LazyLinear(2))
    module(torch.zeros(2, 3, 8, 8))
    module[1].eval()
    hooked = module[0].register_forward_hook(lambda *_: None)
    analysis = analyze(module, (3, 8, 8))

    def state() -> list[Any]:
        parts = [(id(part), part.training, sorted(vars(part)), len(part._forward_hooks)) for part in module.modules()]
        tensors = [*module.parameters(), *module.buffers()]
        return [parts, [(id(t), t.data_ptr(), t._version, t.device.type, t.requires_grad) for t in tensors]]

    before, random = state(), torch.get_rng_state()
    with OnMetaAlone():
        found = receipt(analysis)
    assert own(found)[1:] == (0, "")
    assert state() == before
    assert torch.equal(torch.get_rng_state(), random)
    assert list(module[0]._forward_hooks) == [hooked.id]


def test_only_the_receipt_runs_torchinfo() -> None:
    """It is imported when the receipt is asked for, not by what else there is to learn about a network."""
    code = (
        "import sys, explorer, models\n"
        "from explorer.analysis.receipt import receipt\n"
        "found = explorer.analyze(models.build('zfnet_mini', device='meta'), (3, 64, 64))\n"
        "before = 'torchinfo' in sys.modules\n"
        "receipt(found)\n"
        "print(before, 'torchinfo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True"], done.stderr


class Counting(nn.Module):
    """torchinfo refuses a module that returns a number."""

    def forward(self, x: Tensor) -> int:
        return x.shape[1]


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.count = nn.Conv2d(3, 4, 3), Counting()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.count(x)


def test_where_torchinfo_fails_its_rules_count_and_the_reason_is_said() -> None:
    found = counted(Scaled().eval(), (3, 7, 5))
    by, unexplained, failure = own(found)
    assert (by, unexplained) == ("our rules", 0)
    assert failure.startswith("TypeError: Model contains a layer with an unsupported input or output type")
    assert found["torchinfo"].total == (4 * 27 + 4) * 5 * 3


class MadeWeights(nn.Module):
    """A weight that a norm makes of another one: torchinfo sees the norm, which is no part of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.make = nn.Parameter(torch.zeros(1, 3)), nn.LayerNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.make(self.code).view(1, 3, 1, 1)


def test_what_no_rule_explains_of_torchinfos_total_is_said() -> None:
    analysis = analyze(MadeWeights().eval(), (3, 4, 4))
    tally = receipt(analysis)["torchinfo"]
    assert tally.counted_by.startswith("torchinfo ")
    assert (tally.total, tally.unexplained) == (6, 6)
    assert tally.total - analysis.macs == tally.difference


def test_in_training_torchinfo_counts_the_training_forward() -> None:
    module = models.build("googlenet", device="meta")
    found = {mode: receipt(analyze(module, training=mode))["torchinfo"] for mode in (False, True)}
    assert all(tally.counted_by.startswith("torchinfo") and not tally.unexplained for tally in found.values())
    assert found[True].total > found[False].total


def refuse(*_: Any) -> tuple[int, str]:
    raise UserError("RuntimeError: no <b>luck</b>")


def test_command_and_page_say_that_torchinfo_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "torchinfo_total", refuse)
    assert main.main(["receipt", "nin_mini"]) == main.main(["receipt", "nin_mini", "--json"]) == 0
    text, _, data = capsys.readouterr().out.rpartition("\n{")
    assert "mult-adds, counted by our rules" in text
    assert "by its rules, as torchinfo itself fails on this network: RuntimeError: no <b>luck</b>" in text
    (entry,) = [entry for entry in json.loads("{" + data)["conventions"] if entry["name"] == "torchinfo"]
    assert (entry["counted_by"], entry["failure"]) == ("our rules", "RuntimeError: no <b>luck</b>")
    app = opened(preset="nin_mini", panel="receipt")
    (warning,) = app.main.warning
    assert "as torchinfo itself fails on this network" in warning.value
    assert "<b>" not in warning.value
    assert set(app.main.dataframe[0].value["Counted by"]) == {"our rules"}
    st.cache_resource.clear()


def test_command_and_page_show_what_is_not_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = counted(models.build("lenet5", device="meta"), (1, 32, 32))["torchinfo"].total
    monkeypatch.setattr(receipts, "torchinfo_total", lambda *_: (rules - 1234, "9.9"))
    assert main.main(["receipt", "lenet5"]) == 0
    text = capsys.readouterr().out
    assert f"{rules - 1234:,} mult-adds, counted by torchinfo 9.9" in text
    assert "-1,234  not explained" in text
    app = opened(preset="lenet5", panel="receipt", convention="torchinfo")
    (warning,) = app.main.warning
    assert "Not explained: − 1,234" in warning.value
    st.cache_resource.clear()
