"""Every control that moves by steps reaches every value that the papers and the presets have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import models
from explorer.ui.knob_layout import is_slider
from models.spec import Knob, Spec


def specs(value: Any) -> Iterator[Spec]:
    """A Spec, and those inside it."""
    if isinstance(value, Spec):
        yield value
        for _, part in value:
            yield from specs(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from specs(part)


def numbers(value: Any) -> set[float]:
    """The numbers of a knob's value, which may be a tuple."""
    parts = value if isinstance(value, tuple) else (value,)
    return {part for part in parts if isinstance(part, int | float) and not isinstance(part, bool)}


def used() -> dict[tuple[type[Spec], str], set[float]]:
    """The values that presets, papers and defaults have, by type of Spec and knob."""
    found: dict[tuple[type[Spec], str], set[float]] = {}
    for whole in (*map(models.spec, models.presets()), *(block.spec() for block in models.blocks())):
        for spec in specs(whole):
            for name, described in type(spec).knobs().items():
                if described.choices is None and described.step is not None:
                    values = found.setdefault((type(spec), name), set())
                    values |= numbers(getattr(spec, name)) | numbers(described.default) | numbers(described.paper)
    return {key: values for key, values in found.items() if values}


def reached(described: Knob, value: float, start: float) -> bool:
    """Whether whole steps lead from one value to another."""
    assert described.step is not None
    steps = (value - start) / described.step
    return abs(steps - round(steps)) < 1e-6


USED = used()


@pytest.mark.parametrize(("cls", "name"), USED, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_steps_lead_to_every_value_of_presets_and_papers(cls: type[Spec], name: str) -> None:
    described = cls.knobs()[name]
    values = USED[cls, name]
    starts = values | ({described.low} if is_slider(described) else set())  # a slider starts at its lowest value
    missed = {(start, value) for start in starts for value in values if not reached(described, value, start or 0)}
    assert not missed, f"steps of {described.step} lead from no first to the second of {sorted(missed)[:4]}"


def test_there_are_knobs_of_networks_stages_and_blocks_among_them() -> None:
    assert len(USED) > 200
    assert {"DenseNetSpec", "StageSpec", "DenseLayerSpec", "FireWidths"} <= {cls.__name__ for cls, _ in USED}


def test_what_a_slider_cannot_reach_has_none() -> None:
    assert not is_slider(knob_of(low=1, high=64, step=4))  # 1, 5, 9 … and no 32
    assert not is_slider(knob_of(low=0, high=10, step=4))  # its end is not one of its steps
    assert is_slider(knob_of(low=0.0, high=0.9, step=0.05))
    assert not is_slider(knob_of(low=8, high=1024, step=8)), "too many steps for a finger"


def knob_of(**options: Any) -> Knob:
    return Knob(options["low"], **options)


def page() -> None:
    from explorer.ui import state, widgets

    state.begin(())
    widgets.knobs(state.base())
    state.end()


@pytest.mark.parametrize("value", [12, 32, 48])
def test_densenet_grows_by_what_the_papers_have_after_one_step(value: int) -> None:
    app = AppTest.from_function(page, default_timeout=60)
    app.query_params["preset"] = "densenet121"
    app.run()
    growth = growth_control(app)
    growth.set_value(growth.value + growth.step).run()
    growth = growth_control(app)
    assert growth.value == 36
    assert (value - growth.value) % growth.step == 0
    assert growth.min <= value <= growth.max


def growth_control(app: AppTest) -> Any:
    return app.number_input(key="widget:knob densenet121 growth")
