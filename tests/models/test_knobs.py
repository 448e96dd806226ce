"""No knob is declared twice: what several Specs have is in models/knobs.py, or taken from the Spec that declares it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import models
from models import knobs
from models.knobs import ATTENTION_NAMES
from models.spec import NetSpec, Spec, knob

MODELS = Path(models.__file__).parent
SAME = """
class A(Spec):
    skip: bool = knob(True, help="Add the input.", paper=True)
    depth: int = knob(2, low=1, high=4, help="Layers.")

class B(Spec):
    depth: int = knob(3, high=4, low=1, help="Layers.", paper=3)
"""
SAME_HELP_OF_SHARED = """
class A(Spec):
    norm: str = knobs.norm("batch", help="Normalisation of the map.")

class B(Spec):
    norm: str = knobs.norm("none", help="Normalisation of the map.")
"""
SAME_BY_PLACE = """
class A(Spec):
    conv1: int = channels(64, "Its channels.")

class B(Spec):
    conv1: int = channels(32, "Its channels.")
"""
DIFFERENT = """
class A(Spec):
    depth: int = knob(2, low=1, high=4, help="Layers.")
    width: int = knob(2, low=1, high=4, help="Channels.")
    norm: str = knobs.norm("batch")

class B(Spec):
    depth: int = knob(2, low=1, high=8, help="Layers.")
    width: int = knob(2, low=1, high=4, help="Channels of the output.")
    norm: str = knobs.norm("batch")
"""


def declared(source: str) -> Iterator[tuple[str, ...]]:
    """Name, range and help of each field of a class that states a help text, by name or in its place."""
    for owner in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)):
        for field in owner.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call):
                options = {str(option.arg): ast.unparse(option.value) for option in field.value.keywords}
                stated = "help" in options or ast.unparse(field.value.func) != "knobs.like"
                options.pop("paper", None)
                positional = [ast.unparse(argument) for argument in field.value.args[1:]]
                if stated and (positional or "help" in options):
                    what = sorted(f"{name}={value}" for name, value in options.items())
                    yield (ast.unparse(field.target), ast.unparse(field.value.func), *positional, *what)


def repeated(*sources: str) -> set[tuple[str, ...]]:
    """The declarations that occur more than once."""
    found = [declaration for source in sources for declaration in declared(source)]
    return {declaration for declaration in found if found.count(declaration) > 1}


def test_no_knob_is_declared_twice() -> None:
    sources = [path.read_text() for path in MODELS.rglob("*.py") if path.name != "knobs.py"]
    assert len([declaration for source in sources for declaration in declared(source)]) > 100
    assert not repeated(*sources)


def test_a_knob_declared_twice_is_found() -> None:
    assert {found[0] for found in repeated(SAME)} == {"depth"}
    assert {found[0] for found in repeated(SAME_HELP_OF_SHARED)} == {"norm"}
    assert {found[0] for found in repeated(SAME_BY_PLACE)} == {"conv1"}
    assert not repeated(DIFFERENT)
    first, second = SAME.split("class B")
    assert repeated(first, f"class B{second}")


def texts(source: str) -> set[str]:
    """All text in quotes, docstrings too."""
    return {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_help_of_a_shared_knob_is_stated_outside() -> None:
    shared = {text for text in texts((MODELS / "knobs.py").read_text()) if text.endswith(".") and " " in text}
    outside = {text for path in MODELS.rglob("*.py") if path.name != "knobs.py" for text in texts(path.read_text())}
    assert len(shared) > 40
    assert len(outside) > 100
    assert shared & outside == set()


class Owner(Spec):
    rate: float = knob(0.5, low=0.0, high=1.0, step=0.1, unit="px", help="A rate.", paper=0.4)


class Reader(Spec):
    same: float = knobs.like(Owner, "rate")
    other: float = knobs.like(Owner, "rate", 0.3)
    wider: float = knobs.like(Owner, "rate", 0.3, high=2.0, paper=None)
    dropout: float = knobs.dropout(0.1)
    deeper: float = knobs.dropout(0.1, high=0.95, paper=0.2)


def test_a_knob_like_another_has_its_range_and_help_and_its_own_default() -> None:
    found = Reader.knobs()
    assert found["same"] == Owner.knobs()["rate"]
    assert {(found[name].help, found[name].unit, found[name].low) for name in ("same", "other", "wider")} == {
        ("A rate.", "px", 0.0)
    }
    assert [(found[name].default, found[name].high, found[name].paper) for name in ("other", "wider")] == [
        (0.3, 1.0, 0.3),
        (0.3, 2.0, None),
    ]


def test_a_shared_knob_takes_its_default_as_the_papers_unless_told() -> None:
    found = Reader.knobs()
    assert (found["dropout"].default, found["dropout"].paper, found["dropout"].high) == (0.1, 0.1, 0.9)
    assert (found["deeper"].default, found["deeper"].paper, found["deeper"].high) == (0.1, 0.2, 0.95)


class Even(Spec):
    """A mixin with a rule."""

    width: int = knob(8, low=1, high=64, step=1, help="Channels.")

    def check(self) -> None:
        if self.width % 2:
            self.refuse("width", why="it must be even")


class Forgetful(Even, NetSpec):
    """Its `check` says nothing of those that it inherits."""

    per_stage = ("depths", "kernels")

    depths: tuple[int, ...] = knob((1, 1), low=1, high=4, step=1, length=(1, 4), help="Blocks.")
    kernels: tuple[int, ...] = knob((3, 3), low=1, high=7, step=2, length=(1, 4), help="Windows.")

    def check(self) -> None:
        if self.image_size < 16:
            self.refuse("image_size", why="too small")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"width": 3}, "width=3: it must be even"),
        ({"depths": (1, 1, 1)}, "depths=(1, 1, 1), kernels=(3, 3): each needs one entry per stage"),
        ({"image_size": 8}, "image_size=8: too small"),
    ],
)
def test_a_check_that_forgets_super_keeps_the_rules_it_inherits(values: dict, why: str) -> None:
    with pytest.raises(models.SpecError) as refusal:
        Forgetful.parse(values)
    assert str(refusal.value) == why


def test_the_rules_of_a_base_come_first_and_each_once() -> None:
    called: list[str] = []

    class Base(Spec):
        def check(self) -> None:
            called.append("base")

    class Middle(Base):
        pass

    class Left(Middle):
        def check(self) -> None:
            called.append("left")

    class Right(Middle):
        def check(self) -> None:
            called.append("right")

    class Last(Left, Right):
        def check(self) -> None:
            called.append("last")

    Last()
    assert called == ["base", "right", "left", "last"]


def test_no_check_calls_super() -> None:
    """The machinery calls all of them, so that a rule would hold, and run, twice."""
    assert not [path for path in MODELS.rglob("*.py") if "super().check" in path.read_text()]


def test_attention_knobs_offer_what_can_be_built() -> None:
    from models.blocks.attention import attention

    built = {name: type(attention(name, 8)).__name__ for name in ATTENTION_NAMES}
    assert len(set(built.values())) == len(ATTENTION_NAMES)
