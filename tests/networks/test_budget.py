"""Match budget: what comes nearest is found, for every block; and what cannot be matched is said so with its figure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from explorer.errors import UserError
from explorer.networks import budget
from models.errors import SpecError
from models.spec import Spec

SIZE = (24, 6, 6)
FIGURES = ("macs", "params")
each_block = pytest.mark.parametrize("block", models.blocks(), ids=lambda block: block.name)


def cost(spec: Spec, figure: str, size: tuple[int, int, int] = SIZE) -> int:
    return getattr(budget.figures(spec, size), figure)


@each_block
def test_a_block_is_solved_back_to_what_it_costs_with_another_value_of_a_knob(block: models.Block) -> None:
    start = budget.in_slot(block, SIZE[0])
    knob = next(name for name, _ in budget._reaching(start, SIZE, "macs", budget._levers(start)))
    values = budget._values(start, knob)
    changed = budget._changed(start, knob, values[len(values) // 3])
    assert changed is not None
    found = budget.match(start, SIZE, "macs", cost(changed, "macs"), knob)
    assert found.difference == 0
    assert found.is_close
    assert cost(found.spec, "macs") == found.found


@each_block
def test_a_block_matched_to_itself_stays_as_it_is(block: models.Block) -> None:
    start = budget.in_slot(block, SIZE[0])
    assert budget.match(start, SIZE, "params", cost(start, "params")).spec == start


BRUTE: list[tuple[str, str, dict[str, Any]]] = [
    ("residual_bottleneck", "width", {"in_channels": 64}),  # no projection where 64 channels leave
    ("residual_basic", "width", {"in_channels": 40, "stride": 2}),
    ("inverted_residual", "expanded", {"in_channels": 24}),  # no first convolution where 24 are inside, or 0: 6 · 24
    ("fused_mbconv", "expanded", {"in_channels": 16, "width": 16}),
    ("conv_norm_act", "width", {"in_channels": 24, "width": 24, "groups": 6}),
    ("regnet_y", "width", {"in_channels": 48, "width": 48, "group_width": 8}),
    ("squeeze_excitation", "squeeze", {"in_channels": 64}),
    ("fire", budget.ALL_WIDTHS, {"in_channels": 32}),
    ("resnext", "width", {"in_channels": 128, "groups": 4}),
]
HIGHEST = 70  # values up to here are tried one by one; the budgets lie well below what the last of them costs


@pytest.mark.parametrize(("name", "knob", "changes"), BRUTE, ids=[f"{name} {knob}" for name, knob, _ in BRUTE])
def test_nothing_is_nearer_than_what_is_found(name: str, knob: str, changes: dict[str, Any]) -> None:
    start = models.block(name).spec.parse(changes)
    size = (changes["in_channels"], 4, 4)
    specs = [s for value in range(HIGHEST + 1) if value in budget._values(start, knob)
             and (s := budget._changed(start, knob, value))]  # fmt: skip
    costs = [cost(spec, "params", size) for spec in specs]
    least = min(cost(spec, "params", size) for spec in specs)
    for share in (0.0, 0.07, 0.31, 0.6):
        wanted = round(least + share * (costs[-1] - least) * 0.9)
        found = budget.match(start, size, "params", wanted, knob)
        assert abs(found.found - wanted) == min(abs(one - wanted) for one in [*costs, cost(start, "params", size)])


@pytest.mark.fuzz
@settings(max_examples=max(12, settings().max_examples // 10))  # some tens of analyses each
@given(st.data())
def test_any_block_comes_as_near_as_any_value_that_is_tried(data: st.DataObject) -> None:
    block = data.draw(st.sampled_from(models.blocks()))
    start = budget.in_slot(block, SIZE[0])
    figure = data.draw(st.sampled_from(FIGURES))
    knob = data.draw(st.sampled_from(budget.knobs(start, SIZE, figure)))
    values = budget._values(start, knob)
    other, drawn = (budget._changed(start, knob, data.draw(st.sampled_from(values))) for _ in range(2))
    assert other
    assert drawn
    wanted = cost(other, figure) + data.draw(st.integers(-50, 50))
    found = budget.match(start, SIZE, figure, wanted, knob)
    assert abs(found.found - wanted) <= min(50, abs(cost(drawn, figure) - wanted))
    assert budget.figures(found.spec, SIZE).side == budget.figures(start, SIZE).side


def test_width_comes_first_then_expansion_and_what_changes_the_view_of_a_position_last() -> None:
    bottleneck, residual = (budget.in_slot(models.block(f"residual_{n}"), 64) for n in ("bottleneck", "basic"))
    inverted = budget.in_slot(models.block("inverted_residual"), 64)
    assert budget.knobs(bottleneck, (64, 8, 8), "macs")[:2] == ["width", "expansion"]
    assert budget.knobs(bottleneck, (64, 8, 8), "macs")[-1] == "kernel"
    found = budget.match(inverted, (64, 8, 8), "macs", cost(bottleneck, "macs", (64, 8, 8)))
    assert found.knob == "expansion"
    assert found.is_close
    found = budget.match(bottleneck, (64, 8, 8), "macs", cost(residual, "macs", (64, 8, 8)))
    assert found.knob == "width"
    assert found.is_close


def test_an_inverted_residual_that_is_narrower_inside_is_called_a_bottleneck() -> None:
    bottleneck, inverted = (budget.in_slot(models.block(n), 64) for n in ("residual_bottleneck", "inverted_residual"))
    found = budget.match(inverted, (64, 8, 8), "macs", cost(bottleneck, "macs", (64, 8, 8)))
    assert found.sentence().endswith(" a bottleneck, no inverted one.")
    wide = budget.match(inverted, (64, 8, 8), "macs", 5 * cost(bottleneck, "macs", (64, 8, 8)))
    assert "bottleneck" not in wide.sentence()


@pytest.mark.parametrize("name", [block.name for block in models.blocks()])
def test_no_block_is_narrow_as_it_is_declared(name: str) -> None:
    assert not budget.is_narrow(budget.in_slot(models.block(name), 64))


@pytest.mark.parametrize("name", ["inverted_residual", "mbconv", "convnext", "linear_bottleneck", "fused_mbconv"])
def test_blocks_with_an_expansion_are_narrow_below_1(name: str) -> None:
    if name not in [block.name for block in models.blocks()]:
        pytest.fail(f"{name} is no block")
    spec = budget.in_slot(models.block(name), 64)
    assert budget.is_narrow(type(spec).parse(spec.model_dump() | {"expansion": 0.5}))
    assert not budget.is_narrow(type(spec).parse(spec.model_dump() | {"expansion": 1.0}))


def test_a_budget_that_no_value_reaches_is_said_to_be_missed_and_by_how_much() -> None:
    start = models.block("vgg").spec.parse({"in_channels": 64})
    found = budget.match(start, (64, 8, 8), "params", 10)
    assert not found.is_close
    assert found.found == (9 * 64 + 1) + (9 + 1)
    assert found.sentence() == (
        "No value of width comes within 1 %; the nearest is taken: "
        "width=1 gives 587 parameters, 5,770.00 % above the 10 wanted."
    )


def test_a_knob_that_does_not_change_the_figure_is_refused_by_name() -> None:
    start = budget.in_slot(models.block("convnext"), 24)
    with pytest.raises(UserError, match=r"knob='stride' .* expansion"):
        budget.match(start, SIZE, "macs", 1000, "stride")


def test_a_block_that_refuses_the_input_says_which_knob() -> None:
    start = budget.in_slot(models.block("shuffle_unit_v2"), 7)
    with pytest.raises(SpecError, match="in_channels=7"):
        budget.match(start, (7, 8, 8), "macs", 1000)


@each_block
def test_in_a_slot_a_block_reads_the_channels_and_hands_on_as_many_where_it_can(block: models.Block) -> None:
    spec = budget.in_slot(block, 64)
    leaves = block.output_shape(spec)
    grows = {"dense_block", "dense_layer", "transition", "inception_b", "inception_d"}
    assert (leaves == (64, 32, 32)) == (block.name not in grows)
