"""`compare` of whole networks: what papers and differences by hand say, and one line for what cannot be compared."""

from __future__ import annotations

import json

import pytest

from explorer.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_resnext_differs_from_resnet_in_width_and_groups_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Xie et al. 2017, table 1: twice the width inside each of the 16 blocks, in 32 groups."""
    code, out, _ = run(capsys, "compare", "resnet50", "resnext50_32x4d", "--json")
    told = json.loads(out)
    assert code == 0
    assert [one["params"] for one in told["networks"]] == [25_557_032, 25_028_904]
    (difference,) = told["differences"]
    assert difference["counts"] == {"same": 64, "follows": 80, "changed": 32, "added": 0, "removed": 0}
    assert {row["fate"] for row in difference["layers"]} == {"changed"}
    assert sum("groups 1 → 32" in row["change"] for row in difference["layers"]) == 16


def test_an_edited_network_is_named_as_links_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A basic block more on 256 channels of 14 × 14: two convolutions of 9 · 256² weights, two norms of 2 · 256."""
    code, out, _ = run(capsys, "compare", "resnet18", "resnet18!k.depths=2,2,3,2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["resnet18", "resnet18!k.depths=2,2,3,2"]
    assert "resnet18!k.depths=2,2,3,2 beside resnet18: 7 added, 70 the same" in lines
    added = [line.split() for line in lines if line.split()[:1] == ["added"]]
    assert sum(int(line[-2].replace(",", "")) for line in added) == 2 * 9 * 256**2 + 2 * 2 * 256
    assert sum(int(line[-1].replace(",", "")) for line in added) == 2 * 9 * 256**2 * 14 * 14


def test_each_other_network_stands_beside_the_first_on_the_size_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(
        capsys, "compare", "resnet18", "torchvision:resnet18", "resnet34", "--input", "3x64x64", "--json"
    )
    told = json.loads(out)
    assert code == 0
    assert [one["name"] for one in told["networks"]] == ["resnet18", "torchvision:resnet18", "resnet34"]
    assert [(one["reference"], one["other"]) for one in told["differences"]] == [
        ("resnet18", "torchvision:resnet18"), ("resnet18", "resnet34"),
    ]  # fmt: skip
    assert told["differences"][0]["counts"]["same"] == 70
    assert told["networks"][0]["macs"] < 1e9 / 6  # 1.8 G at 224 px


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["resnet18"], "'resnet18' alone"),
        (["resnet18", "resnet19"], "resnet19"),
        (["resnet18", "resnet18!k.depth=2"], "did you mean depths?"),
        (["resnet18", "resnet18!k.depths=2,2"], "depths"),
        (["resnet18", "nosuch!k.depths=2"], "names the preset 'nosuch', which is not here."),
        (["resnet18", "resnet34", "--match", "macs"], "--match macs changes blocks only"),
        (["resnet18", "lenet5", "--input", "3x64x64"], "in_channels=1 cannot read"),
        (["resnet18", "resnet34", "--input", "3x64"], "'3x64'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "compare", *argv)
    assert code == 2
    assert not out
    assert said in err
    assert err.count("\n") == 1
