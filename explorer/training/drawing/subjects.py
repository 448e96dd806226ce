"""The register of subjects; each is a generator of Shapes, drawn back to front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from explorer.training.drawing.geometry import Points, Silhouette, ellipse

Draw = Callable[[Random], Iterator[Silhouette]]


@dataclass(frozen=True)
class Subject:
    """A class of objects: its name, the names of its parts, and how to draw it in a random pose."""

    name: str
    parts: tuple[str, ...]
    draw: Draw
    tilt: float


SUBJECTS: dict[str, Subject] = {}


def subject(*parts: str, tilt: float = 14.0) -> Callable[[Draw], Draw]:
    """Register a drawing function under its own name, with its parts and largest tilt in degrees."""

    def register(draw: Draw) -> Draw:
        name = draw.__name__
        SUBJECTS[name] = Subject(name, parts, draw, tilt)
        return draw

    return register


def either(rng: Random, *choices: str) -> str:
    """One of the paint roles, by chance."""
    return rng.choice(choices)


def eye(
    part: str, x: float, y: float, size: float, gaze: tuple[float, float] = (0.0, 0.0), narrow: float = 1.0
) -> Iterator[Silhouette]:
    """A cartoon eye: light ball, dark pupil moved by `gaze` (share of the size), and a glint."""
    px, py = x + gaze[0] * size * 0.35, y + gaze[1] * size * 0.35
    yield Silhouette(part, ellipse(x, y, size, size * 1.12), "light")
    yield Silhouette(part, ellipse(px, py, size * 0.6 * narrow, size * 0.72), "dark", lined=False)
    yield Silhouette(part, ellipse(px - size * 0.18, py - size * 0.28, size * 0.2), "light", lined=False)


def flip(points: Points) -> Points:
    """Mirror [N, 2] about the vertical axis."""
    return points * (-1.0, 1.0)
