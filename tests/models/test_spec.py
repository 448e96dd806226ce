"""A Spec: lossless JSON, hashable, and refusals that name the knob and its value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from models.spec import Knob, NetSpec, Spec, knob
from tests.support.strategies import ends, leaf, names_a_value, nested_fields, scalars, spec_values

SPECS = [entry.spec for entry in (*models.architectures(), *models.blocks())]
each_spec = pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)


class Stage(Spec):
    width: int = knob(8, low=1, high=64, step=1)


class Toy(Spec):
    depth: int = knob(2, low=1, high=4, step=1, help="Layers.")
    rate: float = knob(0.5, low=0.0, high=1.0, step=0.1)
    widths: tuple[int, ...] = knob((8, 8), low=1, high=64, step=1, length=(1, 3))
    kind: str = knob("max", choices=("max", "average"))
    stages: tuple[Stage, ...] = (Stage(),)

    def check(self) -> None:
        if self.depth != len(self.widths):
            self.refuse("depth", "widths", why="each layer needs a width")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 0}, "depth=0 is below its lowest value 1; it takes 1 to 4"),
        ({"depth": 9}, "depth=9 is above its highest value 4; it takes 1 to 4"),
        ({"rate": 1.5}, "rate=1.5 is above its highest value 1; it takes 0 to 1"),
        ({"rate": float("nan")}, "rate=nan is not valid: "),
        ({"rate": float("inf")}, "rate=inf is not valid: "),
        ({"depth": "deep"}, "depth='deep' is not valid: "),
        ({"depth": 2.5}, "depth=2.5 is not valid: "),
        ({"depth": None}, "depth=None is not valid: "),
        ({"widths": (8, 65)}, "widths[1]=65 is above its highest value 64; it takes 1 to 64"),
        ({"widths": (8, "x")}, "widths[1]='x' is not valid: "),
        ({"widths": ()}, "widths=() has 0 entries; it takes 1 to 3"),
        ({"kind": "min"}, "kind='min' is not one of max, average"),
        ({"depth": 3}, "depth=3, widths=(8, 8): each layer needs a width"),
        ({"stages": [{"width": 99}]}, "stages[0]: width=99 is above its highest value 64; it takes 1 to 64"),
        ({"stages": [{}, {"widt": 9}]}, "stages[1]: Stage has no knob 'widt'; did you mean width?"),
        ({"stages": [{"width": "x" * 500}]}, f"stages[0].width='{'x' * 59}… is not valid: "),
        ({"dept": 3}, "Toy has no knob 'dept'; did you mean depth?"),
        ({"zzz": 3}, "Toy has no knob 'zzz'; its knobs are depth, rate, widths, kind, stages."),
    ],
)
def test_refusal_is_one_sentence_that_names_knob_and_value(values: dict, message: str) -> None:
    with pytest.raises(models.SpecError) as replaced:
        Toy().replace(**values)
    with pytest.raises(models.SpecError) as parsed:
        Toy.parse(values)
    assert str(replaced.value) == str(parsed.value)
    assert str(parsed.value).startswith(message)
    assert "\n" not in str(parsed.value)


@each_spec
def test_every_knob_refuses_what_is_out_of_its_range(cls: type[Spec]) -> None:
    for name, description in cls.knobs().items():
        for value in outside(description):
            value = (value, *description.default[1:]) if isinstance(description.default, tuple) else value
            with pytest.raises(models.SpecError) as refusal:
                cls().replace(**{name: value})
            assert names_a_value(str(refusal.value), {name: value}), refusal.value


def outside(description: Knob) -> list[object]:
    """Values that the knob refuses: one below and one above, or a choice that is none."""
    if isinstance(description.default, bool):
        return ["perhaps"]
    if description.choices is not None:
        return ["nonsense"] if isinstance(description.choices[0], str) else [-1]
    assert description.low is not None
    assert description.high is not None
    return [description.low - 1, description.high + 1]


@each_spec
def test_every_knob_says_what_it_is(cls: type[Spec]) -> None:
    nested = [leaf(getattr(cls(), name)).knobs() for name in nested_fields(cls)]
    assert all(nested)
    for name, description in (item for knobs in (cls.knobs(), *nested) for item in knobs.items()):
        assert description.help.endswith("."), name
        has_range = description.low is not None and description.high is not None
        assert has_range or description.choices or isinstance(description.default, bool), name
        assert description.problem(name, description.default) is None
        for end in ends(description, description.default):
            assert description.problem(name, end) is None
        assert description.paper is None or isinstance(description.paper, type(description.default)), name


@pytest.mark.fuzz
@each_spec
def test_json_round_trip_keeps_everything(cls: type[Spec]) -> None:
    bases = [preset.spec for family in models.architectures() for preset in family.presets.values()]
    bases = [spec for spec in bases if type(spec) is cls] or [cls()]

    @given(spec_values(cls, bases))
    def holds(values: dict) -> None:
        try:
            spec = cls.parse(values)
        except models.SpecError:
            return
        again = cls.parse(json.loads(spec.model_dump_json()))
        assert again == spec
        assert hash(again) == hash(spec)
        assert all(getattr(again, name) == values[name] for name in cls.knobs())

    holds()


@given(st.data())
def test_grid_of_a_knob_stays_in_its_range(data: st.DataObject) -> None:
    description = Knob(8, low=1, high=66, step=8)
    value = data.draw(scalars(description))
    assert value in (1, 8, 16, 24, 32, 40, 48, 56, 64, 66)


def test_equal_specs_are_one_key() -> None:
    first, second = models.spec("vgg16"), models.spec("vgg16")
    assert first == second
    assert hash(first) == hash(second)
    other = models.spec("vgg16", depths=(2, 2, 3, 3, 4))
    assert other != first
    assert hash(other) != hash(first)
    assert other.changes_from(first) == {"depths": (2, 2, 3, 3, 4)}


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        models.spec("vgg16").num_classes = 5  # type: ignore[misc]


def test_net_spec_knobs_come_first_in_every_family() -> None:
    for family in models.architectures():
        assert list(family.spec.knobs())[:3] == list(NetSpec.knobs())
