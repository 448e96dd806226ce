"""What is no exact figure is said: on the workbench, and apart for fields and for multiply-accumulates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from explorer import Analysis, analyze
from explorer.cli.describe import as_data
from explorer.figures.caveats import field_text, inexact_fields, uncounted_macs
from explorer.receptive_field import quick
from tests.support.receipts import opened

AFFINITY = "layer3.1.affinity.matmul"


class Odd(nn.Module):
    """An operation that no table knows, of no products that a counter finds."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


@pytest.fixture
def lost_pool(monkeypatch: pytest.MonkeyPatch) -> Analysis:
    """A network whose pool has known MACs (none) and, as its rule fails, no known field."""

    def fails(*_: Any) -> quick.FieldState:
        raise IndexError("tuple index out of range")

    monkeypatch.setitem(quick.QUICK, "max_pool", fails)
    return analyze(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(1), nn.Conv2d(4, 4, 1)), (3, 16, 16))


def test_a_layer_of_known_macs_and_unknown_field_is_not_said_to_be_uncounted(lost_pool: Analysis) -> None:
    assert uncounted_macs(lost_pool.uncounted) is None
    assert inexact_fields(lost_pool) == "receptive fields are upper bounds in 1 layer (2), not known in 1 layer (1)"
    assert [layer["certainty"] for layer in as_data(lost_pool)["layers"]] == ["exact", "exact", "unknown", "bounded"]
    assert (as_data(lost_pool)["unknown"], as_data(lost_pool)["bounded"]) == (["1"], ["2"])


def test_layers_without_macs_are_named_in_a_sentence_of_their_own() -> None:
    found = analyze(nn.Sequential(Odd(), nn.Conv2d(3, 4, 3)), (3, 16, 16))
    assert uncounted_macs(found.uncounted) == "MACs not counted, because their operation is unknown: 0"


def test_only_the_first_of_many_layers_are_named() -> None:
    found = analyze(nn.Sequential(Odd(), *(nn.Conv2d(3, 3, 1) for _ in range(5))), (3, 16, 16))
    assert inexact_fields(found) == (
        "receptive fields are upper bounds in 5 layers (1, 2, 3 and 2 more), not known in 1 layer (0)"
    )


def test_exact_fields_need_no_words() -> None:
    assert inexact_fields(analyze(nn.Conv2d(3, 4, 3), (3, 16, 16))) is None
    assert [field_text("3×3", each) for each in ("exact", "bounded", "unknown")] == ["3×3", "≤ 3×3", "unknown"]


def test_the_table_of_the_page_marks_upper_bounds_and_counts_them() -> None:
    app = opened(preset="nlnet_mini", panel="layers")
    (table,) = [each.value for each in app.main.dataframe]
    fields = dict(zip(table["Layer"], table["Field (px)"], strict=True))
    assert {name for name, text in fields.items() if "≤" in text} == {AFFINITY}
    assert any("upper bounds in 1 layer" in caption.value for caption in app.caption)


def test_the_page_says_nothing_of_bounds_where_all_fields_are_exact() -> None:
    for panel in ("layers", "field", "costs"):
        app = opened(preset="resnet_mini", panel=panel)
        assert not app.warning
        assert not any("upper bounds" in caption.value for caption in app.caption)
