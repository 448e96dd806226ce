"""Growing subjects: flower, tree."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from explorer.training.drawing.geometry import Silhouette, band, blob, curve, ellipse, move, turn
from explorer.training.drawing.subjects import flip, subject


@subject("stem", "leaves", "petals", "centre", tilt=18.0)
def flower(rng: Random) -> Iterator[Silhouette]:
    """A flower with round or pointed petals on a bent stem with leaves."""
    bend, count, size = rng.uniform(-0.2, 0.2), rng.randint(5, 8), rng.uniform(0.52, 0.62)
    pointed, phase = rng.random() < 0.4, rng.uniform(0, 72)
    yield Silhouette("stem", band(curve([(bend, 1.05), (bend * 1.6, 0.6), (0, -0.3)], 8), 0.11), "second")
    for side, y in ((1, 0.75), (-1, rng.uniform(0.55, 0.8))):
        leaf = blob([(0, 0), (0.22, -0.24), (0.58, -0.3), (0.42, 0.0), (0.18, 0.1)], 5)
        yield Silhouette("leaves", move(leaf if side > 0 else flip(leaf), bend * 1.4, y), "second")
        vein = band([(0.08, -0.02), (0.24, -0.12), (0.4, -0.2)], 0.03)
        yield Silhouette("leaves", move(vein if side > 0 else flip(vein), bend * 1.4, y), "dark", lined=False)
    half = 3.0 * size / count
    for petal in range(count):
        tip = [
            (0.1, -half * 0.5),
            (size * 0.6, -half),
            (size * 1.15, 0),
            (size * 0.6, half),
            (0.1, half * 0.5),
        ]
        outline = blob(tip, 5) if pointed else ellipse(size * 0.62, 0, size * 0.5, half)
        yield Silhouette("petals", move(turn(outline, phase + 360 * petal / count), 0, -0.4))
    yield Silhouette("centre", ellipse(0, -0.4, 0.25), "accent")
    for seed in range(6):
        angle = np.radians(60 * seed + phase)
        yield Silhouette(
            "centre", ellipse(0.13 * np.cos(angle), 0.13 * np.sin(angle) - 0.4, 0.035), "dark", lined=False
        )


@subject("trunk", "crown", "fruits", tilt=9.0)
def tree(rng: Random) -> Iterator[Silhouette]:
    """A tree with a cloudy, round or tiered crown and a few fruits."""
    style, thick = rng.choice(("cloud", "round", "fir")), rng.uniform(0.2, 0.3)
    yield Silhouette(
        "trunk",
        blob(
            [
                (-thick * 0.6, 0.1),
                (-thick * 0.7, 0.7),
                (-thick * 1.3, 1.0),
                (0, 0.95),
                (thick * 1.3, 1.0),
                (thick * 0.7, 0.7),
                (thick * 0.6, 0.1),
            ],
            4,
        ),
        "second",
    )
    if style == "fir":
        for y, wide in ((0.5, 0.78), (0.1, 0.64), (-0.3, 0.46)):
            yield Silhouette(
                "crown",
                blob(
                    [
                        (-wide, y),
                        (-wide * 0.45, y - 0.3),
                        (0, y - 0.72),
                        (wide * 0.45, y - 0.3),
                        (wide, y),
                        (0, y + 0.1),
                    ],
                    4,
                ),
            )
        spots = [(-0.4, 0.38), (0.35, 0.4), (-0.2, 0.02), (0.25, -0.02), (0.0, -0.4)]
    elif style == "round":
        yield Silhouette("trunk", band([(0, 0.5), (0.25, 0.25), (0.4, 0.1)], thick * 0.5), "second")
        yield Silhouette("crown", ellipse(0, -0.3, rng.uniform(0.66, 0.8), rng.uniform(0.66, 0.76)))
        spots = [(-0.4, -0.2), (0.35, -0.05), (-0.1, -0.6), (0.35, -0.55), (-0.1, 0.1)]
    else:
        puffs = [
            (-0.5, 0.05, 0.36),
            (0.5, 0.05, 0.36),
            (-0.4, -0.45, 0.38),
            (0.4, -0.45, 0.38),
            (0, -0.7, 0.36),
        ]
        for x, y, r in puffs:
            yield Silhouette("crown", ellipse(x, y, r * rng.uniform(0.92, 1.1)))
        yield Silhouette("crown", ellipse(0, -0.2, 0.5, 0.48), lined=False)
        spots = [(-0.45, 0.05), (0.45, 0.0), (-0.3, -0.5), (0.35, -0.45), (0.0, -0.15)]
    for x, y in rng.sample(spots, rng.randint(3, 5)):
        yield Silhouette("fruits", ellipse(x + rng.uniform(-0.05, 0.05), y, 0.11), "accent")
