"""Made subjects: boat, car, clock, house, teapot, umbrella."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from explorer.training.drawing.geometry import Silhouette, band, blob, box, curve, ellipse, move, turn
from explorer.training.drawing.subjects import either, flip, subject


@subject("mast", "sails", "flag", "hull", "portholes", tilt=16.0)
def boat(rng: Random) -> Iterator[Silhouette]:
    """A sailing boat with two bellied sails."""
    belly, deck, long = rng.uniform(0.0, 0.14), rng.uniform(0.3, 0.42), rng.uniform(0.85, 1.0)
    wave = rng.uniform(-0.08, 0.08)
    yield Silhouette("mast", band([(0, -0.9), (0, -0.3), (0, deck + 0.1)], 0.08), "second")
    yield Silhouette(
        "flag",
        blob([(0.02, -1.1), (0.2, -1.06 + wave), (0.42, -1.0 - wave), (0.2, -0.92 + wave), (0.02, -0.88)], 3),
        "accent",
    )
    yield Silhouette("mast", band([(0, -1.1), (0, -0.9), (0, -0.8)], 0.06), "second")
    right = [(0.08, -0.82), (0.42 + belly, -0.4), (0.8, deck - 0.1), (0.4, deck - 0.06), (0.08, deck - 0.08)]
    left = [
        (-0.08, -0.7),
        (-0.34 - belly, -0.3),
        (-0.66, deck - 0.12),
        (-0.3, deck - 0.08),
        (-0.08, deck - 0.1),
    ]
    paint = either(rng, "main", "light")
    yield Silhouette("sails", np.concatenate([curve(right[:3], 6), right[4:]]), paint)
    yield Silhouette("sails", np.concatenate([curve(left[:3], 6), left[4:]]), either(rng, "main", "light"))
    yield Silhouette(
        "hull",
        np.concatenate(
            [
                [(-long, deck), (long + 0.08, deck - 0.06)],
                curve(
                    [
                        (long + 0.08, deck - 0.06),
                        (0.72, 0.78),
                        (0.45, 0.98),
                        (-0.5, 0.98),
                        (-0.82, 0.74),
                        (-long, deck),
                    ],
                    5,
                ),
            ]
        ),
        "second",
    )
    yield Silhouette(
        "hull",
        band([(-long + 0.06, deck + 0.12), (0, deck + 0.11), (long - 0.05, deck + 0.07)], 0.07),
        "accent",
        lined=False,
    )
    for x in np.linspace(-0.48, 0.48, rng.randint(3, 4)):
        yield Silhouette("portholes", ellipse(x, 0.7, 0.1), "light")


@subject("body", "windows", "lights", "wheels", "door", tilt=10.0)
def car(rng: Random) -> Iterator[Silhouette]:
    """A car from the side: hatchback, beetle or van."""
    style = rng.choice(("hatchback", "beetle", "van"))
    front, back, top, round_roof = {
        "hatchback": (0.35, -0.62, -0.5, 0.1),
        "beetle": (0.4, -0.55, -0.55, 0.3),
        "van": (0.62, -0.9, -0.62, 0.12),
    }[style]
    roof = [
        (back - 0.14, 0.05),
        (back, top + round_roof),
        (back + round_roof, top),
        (front - round_roof, top),
        (front, top + round_roof),
        (front + 0.24, 0.05),
    ]
    yield Silhouette("body", np.concatenate([curve(roof, 5), [(back, 0.2)]]))
    yield Silhouette("body", box(-1.05, -0.02, 1.05, 0.55, 0.2))
    glass, middle = either(rng, "light", "second"), (front + back) / 2
    pane = [
        (back + 0.05, -0.04),
        (back + 0.12, top + 0.14 + round_roof * 0.4),
        (middle - 0.05, top + 0.12),
        (middle - 0.05, -0.04),
    ]
    yield Silhouette("windows", np.array(pane), glass)
    yield Silhouette(
        "windows",
        np.array(
            [
                (middle + 0.05, -0.04),
                (middle + 0.05, top + 0.12),
                (front - 0.08, top + 0.14 + round_roof * 0.4),
                (front + 0.12, -0.04),
            ]
        ),
        glass,
    )
    yield Silhouette("body", box(-1.1, 0.4, 1.1, 0.53, 0.06), "second")
    yield Silhouette("door", box(middle - 0.32, 0.0, middle + 0.3, 0.44, 0.08), "main")
    yield Silhouette("door", band([(middle - 0.2, 0.12), (middle - 0.14, 0.12), (middle - 0.08, 0.12)], 0.06), "dark")
    yield Silhouette("lights", ellipse(0.94, 0.18, 0.12, 0.14), "light")
    yield Silhouette("lights", box(-1.06, 0.1, -0.92, 0.3, 0.05), "accent")
    for x in (-0.58, 0.58):
        yield Silhouette("wheels", ellipse(x, 0.55, 0.29), "dark")
        yield Silhouette("wheels", ellipse(x, 0.55, 0.15), "accent")
        yield Silhouette("wheels", ellipse(x, 0.55, 0.05), "light", lined=False)


@subject("feet", "bells", "case", "dial", "marks", "hands", tilt=16.0)
def clock(rng: Random) -> Iterator[Silhouette]:
    """An alarm clock on two feet, round or square, at any hour."""
    square, wide = rng.random() < 0.35, rng.uniform(0.25, 0.4)
    for side in (-1, 1):
        yield Silhouette("feet", band([(side * 0.4, 0.6), (side * 0.5, 0.8), (side * 0.6, 0.97)], 0.18, 0.13), "second")
        bell = ellipse(0, 0, 0.32, 0.28, start=180, end=360)
        yield Silhouette("bells", move(turn(bell, side * 32), side * (0.3 + wide * 0.5), -0.66), "second")
    yield Silhouette("bells", band([(0, -0.95), (0, -0.8), (0, -0.65)], 0.09), "accent")
    yield Silhouette("bells", ellipse(0, -0.97, 0.12, 0.08), "accent")
    yield Silhouette("case", box(-0.76, -0.7, 0.76, 0.82, 0.28) if square else ellipse(0, 0.06, 0.8))
    yield Silhouette("dial", ellipse(0, 0.06, 0.6), "light")
    for hour in range(12):
        length = 0.12 if hour % 3 == 0 else 0.05
        tick = band([(0.52 - length, 0), (0.52 - length / 2, 0), (0.52, 0)], 0.075 if hour % 3 == 0 else 0.045)
        yield Silhouette("marks", move(turn(tick, 30 * hour), 0, 0.06), "dark", lined=False)
    minute = rng.uniform(0, 360)
    for angle, length, thick in ((minute, 0.42, 0.08), (minute + rng.uniform(50, 310), 0.28, 0.11)):
        hand = turn(band([(-0.06, 0), (length / 2, 0), (length, 0)], thick, thick * 0.5), angle)
        yield Silhouette("hands", move(hand, 0, 0.06), either(rng, "dark", "accent"), lined=False)
    yield Silhouette("hands", ellipse(0, 0.06, 0.08), "accent")


@subject("chimney", "walls", "roof", "door", "windows", tilt=8.0)
def house(rng: Random) -> Iterator[Silhouette]:
    """A house with a gable or hipped roof, a door and windows."""
    eaves, peak, hip = rng.uniform(-0.3, -0.12), rng.uniform(-1.05, -0.85), rng.choice((0.0, 0.0, 0.45))
    wide, at = rng.uniform(0.74, 0.86), rng.choice((-0.36, 0.0, 0.36))
    stack, flue = rng.choice((-0.5, 0.3)), peak - 0.22 * (hip > 0)
    yield Silhouette("chimney", box(stack, flue - 0.02, stack + 0.22, eaves), "second")
    yield Silhouette("chimney", box(stack - 0.05, flue - 0.12, stack + 0.27, flue + 0.02, 0.03), "accent")
    yield Silhouette("walls", box(-wide, eaves - 0.05, wide, 1.0))
    yield Silhouette(
        "roof",
        np.array([(-wide - 0.2, eaves + 0.06), (-hip - 0.05, peak), (hip + 0.05, peak), (wide + 0.2, eaves + 0.06)]),
        "second",
    )
    arched, glass = rng.random() < 0.5, either(rng, "light", "accent")
    if arched:
        yield Silhouette("door", ellipse(at, 0.55, 0.19, start=180, end=360), "accent", lined=False)
    yield Silhouette("door", box(at - 0.19, 0.42 + 0.13 * arched, at + 0.19, 1.0), "accent")
    yield Silhouette("door", ellipse(at + 0.11, 0.76, 0.035), "dark", lined=False)
    places = [(x, 0.3) for x in (-0.48, 0.0, 0.48) if abs(x - at) > 0.2]
    for x, y in places:
        yield from _window(x, y + rng.uniform(-0.04, 0.08), 0.17, glass)
    if hip == 0.0:
        yield Silhouette("windows", ellipse(0, (peak + eaves) / 2 + 0.1, 0.13), glass)


def _window(x: float, y: float, half: float, paint: str) -> Iterator[Silhouette]:
    yield Silhouette("windows", box(x - half, y - half, x + half, y + half, 0.03), paint)
    yield Silhouette("windows", band([(x - half, y), (x, y), (x + half, y)], 0.045), "dark", lined=False)
    yield Silhouette("windows", band([(x, y - half), (x, y), (x, y + half)], 0.045), "dark", lined=False)


@subject("handle", "spout", "pot", "lid", "foot", tilt=14.0)
def teapot(rng: Random) -> Iterator[Silhouette]:
    """A round teapot with a bent spout and a loop handle."""
    wide, tall, reach = rng.uniform(0.58, 0.68), rng.uniform(0.5, 0.62), rng.uniform(-0.06, 0.06)
    loop = [(-wide * 0.8, -0.12), (-0.88, -0.32), (-1.08, 0.05), (-0.92, 0.45), (-wide * 0.75, 0.48)]
    yield Silhouette("handle", band(curve(loop, 6), 0.15), "second")
    spout = curve([(wide * 0.7, 0.45), (0.78, 0.28), (0.88, -0.1), (1.1 + reach, -0.32)], 5)
    yield Silhouette("spout", band(spout, 0.38, 0.15), "second")
    yield Silhouette("foot", box(-0.38, 0.68, 0.38, 0.85, 0.06), "second")
    yield Silhouette("pot", ellipse(0, 0.2, wide, tall))
    yield Silhouette(
        "pot", band(curve([(-wide * 0.9, 0.3), (0, 0.42), (wide * 0.9, 0.3)], 6), 0.1), "accent", lined=False
    )
    if rng.random() < 0.6:
        for angle in range(0, 360, 60):
            x, y = 0.11 * np.cos(np.radians(angle)), 0.11 * np.sin(np.radians(angle)) + 0.06
            yield Silhouette("pot", ellipse(x, y, 0.07), "light", lined=False)
        yield Silhouette("pot", ellipse(0, 0.06, 0.06), "accent", lined=False)
    rim = 0.2 - tall * 0.86
    yield Silhouette("lid", ellipse(0, rim + 0.04, 0.4, 0.26, start=180, end=360), "accent")
    yield Silhouette("lid", box(-0.44, rim, 0.44, rim + 0.1, 0.05), "second")
    yield Silhouette("lid", ellipse(0, rim - 0.3, 0.12), "second")


@subject("tip", "shaft", "handle", "canopy", "ribs", tilt=32.0)
def umbrella(rng: Random) -> Iterator[Silhouette]:
    """An open umbrella with a scalloped edge and a crook."""
    high, sag, crook = rng.uniform(0.72, 0.9), rng.uniform(0.05, 0.12), rng.choice((-1.0, 1.0))
    yield Silhouette("tip", band([(0, -high - 0.22), (0, -high), (0, -high + 0.1)], 0.07, 0.1), "accent")
    yield Silhouette("shaft", band([(0, -0.3), (0, 0.3), (0, 0.8)], 0.09), "second")
    hook = curve([(0, 0.62), (0, 0.85), (0.08, 1.02), (0.24, 1.02), (0.32, 0.86)], 5)
    yield Silhouette("handle", band(hook if crook > 0 else flip(hook), 0.13), "accent")
    edges = np.array([-1.0, -0.36, 0.36, 1.0])
    dome = ellipse(0, 0, 1.0, high, start=180, end=360)
    hem = [curve([(b, 0.0), ((a + b) / 2, -sag * 1.6), (a, 0.0)], 5) for a, b in zip(edges, edges[1:], strict=False)]
    yield Silhouette("canopy", np.concatenate([dome, *hem[::-1]]))
    inner = curve([(0, -high), (-0.27, -high * 0.6), (-0.36, 0.0)], 6)
    panel = np.concatenate([inner, hem[1][::-1], flip(inner)[::-1]])
    yield Silhouette("canopy", panel, either(rng, "light", "second", "accent"), lined=False)
    for side in (-1, 1):
        yield Silhouette("ribs", band(inner * (-side, 1.0), 0.05), "dark", lined=False)
    yield Silhouette("ribs", band([(0, -high), (0, -high * 0.6), (0, -sag * 1.6)], 0.04), "dark", lined=False)
