"""Living subjects: bird, cat, face, fish."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from explorer.training.drawing.geometry import Silhouette, band, blob, curve, ellipse, turn
from explorer.training.drawing.subjects import either, eye, flip, subject


@subject("tail", "body", "paws", "head", "ears", "eyes", "nose", "whiskers")
def cat(rng: Random) -> Iterator[Silhouette]:
    """A sitting cat that looks out of the page."""
    swing, lean, width = rng.uniform(-0.15, 0.25), rng.uniform(-12, 12), rng.uniform(0.9, 1.12)
    top = rng.uniform(-0.3, 0.0)
    tail = curve([(0.25, 0.85), (0.7, 0.85), (0.9, 0.5), (0.75 + swing, 0.2 + top), (0.95 + swing, -0.05 + top)])
    yield Silhouette("tail", band(tail, 0.2, 0.15))
    yield Silhouette(
        "body",
        blob(
            [
                (-0.28 * width, 0.0),
                (-0.5 * width, 0.55),
                (-0.46 * width, 0.9),
                (0, 0.98),
                (0.46 * width, 0.9),
                (0.5 * width, 0.55),
                (0.28 * width, 0.0),
            ]
        ),
    )
    yield Silhouette("body", ellipse(0, 0.52, 0.22 * width, 0.32), "light", lined=False)
    for x in (-0.2, 0.2):
        yield Silhouette("paws", band([(x, 0.5), (x, 0.7), (x * 1.05, 0.88)], 0.19, 0.25), "main")
    yield from (Silhouette(s.part, turn(s.points, lean, (0, 0)), s.paint, s.lined) for s in _cat_head(rng, width))


def _cat_head(rng: Random, width: float) -> Iterator[Silhouette]:
    gaze, pricked = (rng.uniform(-0.6, 0.6), rng.uniform(-0.4, 0.4)), rng.uniform(-0.08, 0.1)
    inner, muzzle = either(rng, "accent", "second"), either(rng, "light", "second")
    ear = np.array([(0.12, -0.72), (0.5 + pricked, -1.12), (0.6, -0.5)])
    for mirror in (flip, np.array):
        yield Silhouette("ears", mirror(curve(np.insert(ear, 1, ear[1] - (0.06, -0.05), axis=0), 4)))
        yield Silhouette("ears", mirror(ear.mean(axis=0) + (ear - ear.mean(axis=0)) * 0.5), inner, lined=False)
    yield Silhouette(
        "head",
        blob(
            [
                (0, -0.78),
                (0.42 * width, -0.68),
                (0.62 * width, -0.32),
                (0.45 * width, 0.0),
                (0, 0.1),
                (-0.45 * width, 0.0),
                (-0.62 * width, -0.32),
                (-0.42 * width, -0.68),
            ]
        ),
    )
    yield Silhouette("head", ellipse(0, -0.1, 0.24, 0.16), muzzle, lined=False)
    for side in (-1, 1):
        yield from eye("eyes", side * 0.27 * width, -0.4, 0.15, gaze, narrow=rng.choice((0.55, 1.0)))
        for slope in (-0.09, 0.02, 0.12):
            hair = [
                (side * 0.26, -0.12 + slope * 0.5),
                (side * 0.5, -0.13 + slope),
                (side * 0.78, -0.14 + slope * 2),
            ]
            yield Silhouette("whiskers", band(hair, 0.045, 0.025), "dark", lined=False)
    yield Silhouette("nose", blob([(-0.1, -0.2), (0.1, -0.2), (0, -0.09)], 4), "accent")
    smile = curve([(-0.16, -0.04), (-0.08, 0.02), (0, -0.06), (0.08, 0.02), (0.16, -0.04)], 3)
    yield Silhouette("head", band(smile, 0.03), "dark", lined=False)


@subject("hair", "ears", "head", "eyes", "nose", "mouth")
def face(rng: Random) -> Iterator[Silhouette]:
    """A child's face from the front, in one of three hair styles."""
    style, wide = rng.choice(("bob", "curls", "bun")), rng.uniform(0.92, 1.08)
    yield from _hair_behind(style, wide)
    for side in (-1, 1):
        yield Silhouette("ears", ellipse(side * 0.68 * wide, 0.12, 0.15, 0.19))
    yield Silhouette(
        "head",
        blob(
            [
                (0, -0.62),
                (0.5 * wide, -0.45),
                (0.68 * wide, 0.05),
                (0.5 * wide, 0.58),
                (0, 0.82),
                (-0.5 * wide, 0.58),
                (-0.68 * wide, 0.05),
                (-0.5 * wide, -0.45),
            ]
        ),
    )
    yield from _hair_before(style, wide, rng)
    gaze, open_mouth = (rng.uniform(-0.7, 0.7), rng.uniform(-0.4, 0.5)), rng.random() < 0.5
    for side in (-1, 1):
        yield Silhouette("head", ellipse(side * 0.42 * wide, 0.38, 0.14, 0.1), "accent", lined=False)
        yield from eye("eyes", side * 0.29 * wide, 0.05, 0.14, gaze)
        brow = [(side * 0.16, -0.2), (side * 0.3, -0.25), (side * 0.43, -0.14)]
        yield Silhouette("eyes", band(curve(brow, 4), 0.05), "dark", lined=False)
    yield Silhouette("nose", ellipse(0, 0.24, 0.09, 0.08), "accent")
    if open_mouth:
        yield Silhouette("mouth", ellipse(0, 0.45, 0.24, 0.2, start=0, end=180), "dark")
        yield Silhouette("mouth", ellipse(0, 0.58, 0.11, 0.06), "accent", lined=False)
    else:
        yield Silhouette(
            "mouth", band(curve([(-0.24, 0.46), (-0.1, 0.56), (0.1, 0.56), (0.24, 0.46)], 4), 0.08), "dark"
        )


def _hair_behind(style: str, wide: float) -> Iterator[Silhouette]:
    if style == "bob":
        yield Silhouette(
            "hair",
            blob(
                [
                    (0, -0.95),
                    (0.62 * wide, -0.72),
                    (0.88 * wide, 0.0),
                    (0.82 * wide, 0.7),
                    (0.4, 0.78),
                    (-0.4, 0.78),
                    (-0.82 * wide, 0.7),
                    (-0.88 * wide, 0.0),
                    (-0.62 * wide, -0.72),
                ]
            ),
            "second",
        )
    elif style == "curls":
        for angle in range(150, 400, 31):
            x, y = 0.68 * wide * np.cos(np.radians(angle)), 0.66 * np.sin(np.radians(angle)) - 0.1
            yield Silhouette("hair", ellipse(x, y, 0.25), "second")
    else:
        yield Silhouette("hair", ellipse(0, -0.92, 0.28, 0.24), "second")
        yield Silhouette("hair", ellipse(0, -0.12, 0.76 * wide, 0.7), "second")


def _hair_before(style: str, wide: float, rng: Random) -> Iterator[Silhouette]:
    parting = rng.uniform(-0.35, 0.35)
    yield Silhouette(
        "hair",
        blob(
            [
                (-0.66 * wide, 0.02),
                (-0.62 * wide, -0.42),
                (-0.3, -0.76),
                (0.3, -0.76),
                (0.62 * wide, -0.42),
                (0.66 * wide, 0.02),
                (0.5 * wide, -0.25),
                (parting + 0.2, -0.33),
                (parting, -0.46),
                (parting - 0.2, -0.33),
                (-0.5 * wide, -0.25),
            ]
        ),
        "second",
    )
    if style == "bun":
        yield Silhouette("hair", band([(-0.2, -0.77), (0, -0.8), (0.2, -0.77)], 0.1), "accent")


@subject("tail", "legs", "body", "wing", "beak", "eye", tilt=12.0)
def bird(rng: Random) -> Iterator[Silhouette]:
    """A plump bird on two legs, seen from the side."""
    cocked, flap, plump = rng.uniform(-18, 22), rng.uniform(-25, 30), rng.uniform(0.92, 1.1)
    for x in (-0.05, 0.22):
        foot = x + 0.16
        yield Silhouette("legs", band([(x, 0.5), (x + 0.02, 0.75), (x + 0.02, 0.95)], 0.08), "accent")
        yield Silhouette("legs", band([(x - 0.08, 0.97), (foot - 0.1, 0.95), (foot, 0.98)], 0.08), "accent")
    tail = blob([(-0.5, 0.1), (-1.0, -0.12), (-1.12, 0.08), (-1.02, 0.25), (-0.5, 0.4)], 4)
    yield Silhouette("tail", turn(tail, cocked, (-0.5, 0.2)), "second")
    yield Silhouette(
        "body",
        blob(
            [
                (0.38, -0.9),
                (0.12, -0.74),
                (-0.05, -0.4),
                (-0.5, -0.02),
                (-0.68, 0.25),
                (-0.3, 0.58 * plump),
                (0.2, 0.64 * plump),
                (0.6, 0.3),
                (0.7, -0.15),
                (0.68, -0.62),
            ]
        ),
    )
    yield Silhouette("body", ellipse(0.33, 0.2, 0.3, 0.32 * plump, tilt=20), "light", lined=False)
    beak = blob([(0.68, -0.66), (0.98, -0.5), (1.08, -0.44), (0.9, -0.4), (0.68, -0.4)], 3)
    yield Silhouette("beak", beak, "accent")
    yield Silhouette("beak", band([(0.7, -0.5), (0.85, -0.48), (0.98, -0.45)], 0.03), "dark", lined=False)
    yield from eye("eye", 0.45, -0.58, 0.13, (rng.uniform(-0.3, 0.7), rng.uniform(-0.4, 0.4)))
    wing = blob([(0.14, -0.18), (-0.25, -0.14), (-0.72, 0.18), (-0.45, 0.3), (-0.05, 0.38), (0.2, 0.12)])
    yield Silhouette("wing", turn(wing, flap, (0.1, 0.0)), "second")
    for lift in (0.0, 0.12):
        feather = curve([(-0.5, 0.16 + lift * 0.6), (-0.25, 0.16 + lift), (-0.02, 0.08 + lift)], 4)
        yield Silhouette("wing", turn(band(feather, 0.035), flap, (0.1, 0.0)), "dark", lined=False)
    if rng.random() < 0.5:
        yield Silhouette("body", band(curve([(0.35, -0.86), (0.3, -1.02), (0.16, -1.08)], 4), 0.1, 0.05), "second")


@subject("tail", "fins", "body", "gill", "eye", "mouth", tilt=24.0)
def fish(rng: Random) -> Iterator[Silhouette]:
    """A swimming fish, seen from the side."""
    tall, wag, fin = rng.uniform(0.85, 1.15), rng.uniform(-14, 14), rng.uniform(-0.1, 0.12)
    tail = blob(
        [(-0.5, -0.06), (-0.85, -0.4), (-1.1, -0.48), (-0.98, 0.0), (-1.1, 0.48), (-0.85, 0.4), (-0.5, 0.06)],
        4,
    )
    yield Silhouette("tail", turn(tail, wag, (-0.5, 0)), "second")
    yield Silhouette(
        "fins",
        blob([(-0.3, -0.35 * tall), (-0.25, -0.75 * tall), (0.05 + fin, -0.82 * tall), (0.4, -0.42 * tall)], 5),
        "second",
    )
    yield Silhouette(
        "fins",
        blob([(-0.2, 0.4 * tall), (-0.3, 0.72 * tall), (-0.02, 0.72 * tall), (0.2, 0.42 * tall)], 5),
        "second",
    )
    yield Silhouette(
        "body",
        blob(
            [
                (0.92, 0.02),
                (0.72, -0.32 * tall),
                (0.3, -0.52 * tall),
                (-0.2, -0.42 * tall),
                (-0.62, -0.12),
                (-0.62, 0.12),
                (-0.2, 0.44 * tall),
                (0.3, 0.55 * tall),
                (0.72, 0.36 * tall),
            ]
        ),
    )
    yield Silhouette("gill", band(curve([(0.28, -0.34 * tall), (0.16, 0.0), (0.28, 0.36 * tall)], 5), 0.07), "accent")
    if rng.random() < 0.6:
        for x, y in ((-0.12, -0.16), (-0.32, 0.02), (-0.1, 0.2)):
            scale = ellipse(x, y, 0.1, 0.12, start=90, end=270)
            yield Silhouette("body", scale, "accent", lined=False)
    yield Silhouette("fins", turn(blob([(0.12, 0.08), (-0.2, 0.06), (-0.28, 0.24), (-0.05, 0.32)], 4), wag), "accent")
    yield from eye("eye", 0.56, -0.12, 0.15, (rng.uniform(-0.2, 0.7), rng.uniform(-0.5, 0.5)))
    yield Silhouette("mouth", band(curve([(0.88, 0.12), (0.74, 0.22), (0.6, 0.2)], 4), 0.06), "dark")
