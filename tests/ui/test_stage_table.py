"""Stages as a table: the rows that papers print, and what edits of cells and rows make of the knobs."""

from __future__ import annotations

from typing import Any

import pytest

import models
from explorer.errors import UserError
from explorer.networks.knob_text import plain
from explorer.ui import stage_table
from explorer.ui.stage_table import StageTable
from models.spec import Spec

EMPTY = {"edited_rows": {}, "added_rows": [], "deleted_rows": []}


def tables(preset: str, **knobs: Any) -> list[StageTable]:
    return stage_table.tables(type(models.spec(preset)), {**plain(models.spec(preset)), **knobs})


def spec_of(preset: str, **knobs: Any) -> Any:
    """The preset's Spec, of whose type the linter knows nothing."""
    return models.spec(preset, **knobs)


def after(preset: str, place: int = 0, **edits: Any) -> Any:
    """The preset's Spec after edits of one of its tables."""
    spec = spec_of(preset)
    table = tables(preset)[place]
    rows = stage_table.edited(table, EMPTY | edits)
    return spec.replace(**stage_table.as_knobs(table, rows, plain(spec)))


def test_mobilenet_v2_has_the_table_of_its_paper() -> None:
    """M. Sandler et al. 2018, table 2: t, c, n, s of the seven rows of bottlenecks."""
    (table,) = tables("mobilenet_v2")
    assert [tuple(row[name] for name in ("expansion", "width", "depth", "stride")) for row in table.rows] == [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ]  # fmt: skip


def test_mobilenet_v3_has_the_table_of_its_paper_stage_by_stage() -> None:
    """A. Howard et al. 2019, table 1: k, exp size, #out and s of the bottlenecks whose maps leave with 28 px."""
    table = next(table for table in tables("mobilenet_v3_large") if table.rows[0]["width"] == 40)
    assert [(row["kernel"], row["expanded"], row["width"], row["stride"]) for row in table.rows] == [
        (5, 72, 40, 2), (5, 120, 40, 1), (5, 120, 40, 1),
    ]  # fmt: skip


def test_an_edited_cell_changes_one_entry_of_one_knob() -> None:
    assert after("resnet50", edited_rows={"2": {"depths": 9}}) == models.spec("resnet50", depths=(3, 4, 9, 3))
    changed = after("googlenet", 1, edited_rows={0: {"reduce3": 64}})
    before = spec_of("googlenet")
    assert changed.stages[1][0].reduce3 == 64
    assert changed.stages[1][0].replace(reduce3=before.stages[1][0].reduce3) == before.stages[1][0]
    assert (changed.stages[0], changed.stages[1][1:], changed.stages[2]) == (
        before.stages[0], before.stages[1][1:], before.stages[2],
    )  # fmt: skip


def test_numbers_come_back_in_the_type_of_their_knob() -> None:
    spec = after("mobilenet_v2", edited_rows={1: {"expansion": 4, "depth": 3.0}})
    assert repr(spec.stages[1].expansion) == "4.0"
    assert repr(spec.stages[1].depth) == "3"


def test_a_row_in_the_middle_goes_and_a_new_one_begins_as_the_last() -> None:
    assert after("resnet50", deleted_rows=[1]) == models.spec(
        "resnet50", depths=(3, 6, 3), widths=(64, 256, 512), strides=(1, 2, 2)
    )
    grown = after("efficientnet_b0", added_rows=[{"kernel": 5, "#": None}, {}])
    last = spec_of("efficientnet_b0").stages[-1]
    assert grown.stages[-2:] == (last.replace(kernel=5), last)


def test_rows_and_cells_are_edited_at_once_by_the_numbers_that_were_shown() -> None:
    spec = after("resnet50", edited_rows={3: {"widths": 640}, 1: {"widths": 8}}, deleted_rows=[1])
    assert spec == models.spec("resnet50", depths=(3, 6, 3), widths=(64, 256, 640), strides=(1, 2, 2))


@pytest.mark.parametrize(
    ("preset", "edits", "sentence"),
    [
        ("resnet50", {"edited_rows": {1: {"depths": None}}}, "Stage 2: depths is empty; it takes 1 to 36."),
        ("resnet50", {"edited_rows": {1: {"depths": "x"}}}, "Stage 2: depths='x' is not a number; it takes 1 to 36."),
        ("resnet50", {"edited_rows": {1: {"depths": True}}}, "Stage 2: depths=True is not a number; it takes 1 to 36."),
        (
            "resnet50",
            {"edited_rows": {0: {"widths": 64.5}}},
            "Stage 1: widths=64.5 is not a whole number; it takes 1 to 1024.",
        ),
        (
            "zfnet",
            {"edited_rows": {0: {"pools": None}}},
            "Stage 1: pools is empty; it takes one of none, max, average.",
        ),
        ("googlenet", {"edited_rows": {1: {"conv1": None}}}, "Stage 1, block 2: conv1 is empty; it takes 1 to 1024."),
        ("resnet50", {"deleted_rows": [0, 1, 2, 3]}, "0 stages are not possible; there can be 1 to 6."),
        ("resnet50", {"added_rows": [{}, {}, {}]}, "7 stages are not possible; there can be 1 to 6."),
        ("mobilenet_v2", {"deleted_rows": list(range(7))}, "0 stages are not possible; there can be at least 1."),
    ],
)
def test_what_is_no_value_is_refused_with_what_the_knob_takes(
    preset: str, edits: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as refusal:
        stage_table.edited(tables(preset)[0], EMPTY | edits)
    assert str(refusal.value) == sentence


def test_a_value_out_of_range_is_kept_and_said() -> None:
    table = tables("resnet50")[0]
    rows = stage_table.edited(table, EMPTY | {"edited_rows": {1: {"depths": 400}}})
    knobs = stage_table.as_knobs(table, rows, plain(models.spec("resnet50")))
    assert knobs["depths"] == (3, 400, 6, 3)
    said = stage_table.problem(tables("resnet50", **knobs)[0])
    assert said == "Stage 2: depths=400 is above its highest value 36; it takes 1 to 36."
    assert stage_table.problem(table) is None


def test_tuples_of_unequal_length_share_a_table_and_keep_their_lengths() -> None:
    (table,) = tables("resnet50", depths=(3, 4, 6, 3, 2))
    assert table.rows[4] == {"depths": 2, "widths": None, "strides": None}
    values = plain(models.spec("resnet50"))
    rows = stage_table.edited(table, EMPTY | {"edited_rows": {0: {"depths": 1}}})
    assert stage_table.as_knobs(table, rows, values)["widths"] == values["widths"]
    filled = stage_table.edited(table, EMPTY | {"edited_rows": {4: {"widths": 8, "strides": 1}}})
    assert spec_of("resnet50", **stage_table.as_knobs(table, filled, values)).depths == (3, 4, 6, 3, 2)


@pytest.mark.parametrize("architecture", models.architectures(), ids=lambda entry: entry.name)
def test_every_table_gives_the_very_spec_back_and_holds_all_that_is_nested(architecture: models.Architecture) -> None:
    for preset in architecture.presets.values():
        values = plain(preset.spec)
        rest = {name for name in values if name not in type(preset.spec).knobs()}
        for table in stage_table.tables(type(preset.spec), values):
            knobs = stage_table.as_knobs(table, stage_table.edited(table, EMPTY), values)
            assert preset.spec.replace(**knobs) == preset.spec
            assert set(knobs) == set(table.names)
            rest -= set(table.names)
            assert all(set(row) == set(table.columns) for row in table.rows)
        assert not rest


def test_a_tuple_that_is_empty_is_filled_with_the_presets_last() -> None:
    own = plain(models.spec("googlenet"))
    assert stage_table.with_another({"stages": ()}, ("stages",), own)["stages"] == own["stages"][-1:]
    assert stage_table.without(own, ("stages",))["stages"] == own["stages"][:-1]


def test_a_spec_without_stages_has_no_table() -> None:
    assert stage_table.tables(Spec, {}) == []
    assert tables("vit_ti_16") == []


@pytest.mark.parametrize(
    ("preset", "path", "expected"),
    [
        ("resnet50", ("depths", 2), [(2, "depths")]),
        ("resnet50", ("stem_width",), []),
        ("efficientnet_b0", ("stages", 3, "kernel"), [(3, "kernel")]),
        ("googlenet", ("stages", 1, 4, "conv3"), [(4, "conv3")]),
    ],
)
def test_a_knob_stands_in_one_cell_of_one_table_or_in_none(preset: str, path: Any, expected: list[Any]) -> None:
    found = [cell for table in tables(preset) if (cell := stage_table.cell_of(table, path))]
    assert found == expected
