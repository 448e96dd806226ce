"""What is not the subject: grounds (flat, patterned, landscape, room, sea, night) and clutter."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from explorer.training.drawing.geometry import Points, band, blob, box, curve, ellipse, turn
from explorer.training.drawing.paint import INK, PAINTS, WHITE, Palette, cloudy, gradient, jitter, mix, pattern
from explorer.types import Colour


def ground(size: int, tones: Palette, rng: Random) -> Image.Image:
    """Paint a background, `size` pixels square."""
    return rng.choice((_wash, _wash, _printed, _hills, _hills, _room, _sea, _sky))(size, tones, rng)


def _wash(size: int, tones: Palette, rng: Random) -> Image.Image:
    a, b = tones.ground[0], mix(tones.ground[0], tones.ground[1], rng.uniform(0.2, 0.9))
    half = gradient(size // 2, rng.choice(((a, a, b, b), (a, b, b, a), (a, mix(a, b, 0.5), b, b))))
    mist = cloudy(size // 2, rng.randint(3, 7), rng).point([round(0.45 * level) for level in range(256)])
    half.paste(mix(a, WHITE, 0.3), (0, 0), mist)
    return half.resize((size, size), Image.Resampling.NEAREST)


def _printed(size: int, tones: Palette, rng: Random) -> Image.Image:
    image = Image.new("RGB", (size, size), tones.ground[0])
    motif = pattern(size, rng)
    if motif is not None:
        strength = rng.uniform(0.25, 0.7)
        image.paste(mix(tones.ground[0], tones.ground[1], strength), (0, 0), motif)
    return image


def _backdrop(size: int, tones: Palette, rng: Random) -> Image.Image:
    low = mix(tones.ground[0], WHITE, rng.uniform(0.1, 0.4))
    return gradient(size, (tones.ground[0], tones.ground[0], low, low))


def _hills(size: int, tones: Palette, rng: Random) -> Image.Image:
    image = _backdrop(size, tones, rng)
    draw = ImageDraw.Draw(image)
    _sun(draw, size, tones, rng)
    if rng.random() < 0.6:
        _clouds(draw, size, tones, rng)
    base = rng.uniform(0.45, 0.62)
    for layer in range(rng.randint(2, 3)):
        level = base + 0.16 * layer
        ridge = [(x, level + rng.uniform(-0.09, 0.09)) for x in np.linspace(-0.1, 1.1, 5)]
        outline = np.concatenate([curve(ridge, 6), [(1.1, 1.1), (-0.1, 1.1)]])
        _fill(draw, outline * size, mix(tones.ground[1 + layer % 3], tones.ground[0], 0.35 - 0.15 * layer))
    return image


def _room(size: int, tones: Palette, rng: Random) -> Image.Image:
    image = _printed(size, tones, rng) if rng.random() < 0.6 else _backdrop(size, tones, rng)
    draw = ImageDraw.Draw(image)
    edge = rng.uniform(0.62, 0.8)
    _fill(draw, box(-0.1, edge, 1.1, 1.1) * size, tones.ground[2])
    _fill(draw, box(-0.1, edge - 0.02, 1.1, edge + 0.015) * size, mix(tones.ground[2], INK, 0.25))
    if rng.random() < 0.5:
        x, y, half = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.3), rng.uniform(0.08, 0.13)
        _fill(draw, box(x - half, y - half, x + half, y + half, 0.01) * size, tones.ground[3])
        half *= 0.78
        _fill(draw, box(x - half, y - half, x + half, y + half) * size, mix(tones.ground[3], WHITE, 0.5))
    return image


def _sea(size: int, tones: Palette, rng: Random) -> Image.Image:
    image = _backdrop(size, tones, rng)
    draw = ImageDraw.Draw(image)
    _clouds(draw, size, tones, rng)
    level, waves = rng.uniform(0.5, 0.7), rng.randint(4, 8)
    for row in range(3):
        x = np.linspace(-0.05, 1.05, 40)
        y = level + 0.14 * row + 0.018 * np.sin(2 * np.pi * waves * x + rng.uniform(0, 6))
        outline = np.concatenate([np.stack([x, y], axis=1), [(1.05, 1.1), (-0.05, 1.1)]])
        _fill(draw, outline * size, mix(tones.ground[1], tones.ground[2], 0.3 * row))
    return image


def _sky(size: int, tones: Palette, rng: Random) -> Image.Image:
    image = _backdrop(size, tones, rng)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        _clouds(draw, size, tones, rng)
        _clouds(draw, size, tones, rng)
    else:
        _sun(draw, size, tones, rng)
        for _ in range(rng.randint(8, 20)):
            spot = star(5, rng) * rng.uniform(0.008, 0.025) + (rng.random(), rng.random())
            _fill(draw, spot * size, mix(tones.ground[3], WHITE, 0.5))
    return image


def _sun(draw: ImageDraw.ImageDraw, size: int, tones: Palette, rng: Random) -> None:
    x, y, r = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.3), rng.uniform(0.06, 0.12)
    _fill(draw, ellipse(x, y, r * 1.5) * size, mix(tones.ground[0], tones.ground[3], 0.4))
    _fill(draw, ellipse(x, y, r) * size, mix(tones.ground[3], WHITE, 0.35))


def _clouds(draw: ImageDraw.ImageDraw, size: int, tones: Palette, rng: Random) -> None:
    colour = mix(tones.ground[0], WHITE, rng.uniform(0.35, 0.65))
    for _ in range(rng.randint(1, 3)):
        x, y, r = rng.uniform(0, 1), rng.uniform(0.06, 0.4), rng.uniform(0.04, 0.07)
        for dx, dy, scale in ((-1.4, 0.3, 0.8), (0, 0, 1.2), (1.4, 0.25, 0.9)):
            _fill(draw, ellipse(x + dx * r, y + dy * r, scale * r) * size, colour)
        _fill(draw, box(x - 1.9 * r, y + 0.3 * r, x + 2.1 * r, y + 1.1 * r, 0.35 * r) * size, colour)


def star(spikes: int, rng: Random) -> Points:
    """A star of radius 1 with `spikes` points → [2·spikes, 2]."""
    angle = np.pi * np.arange(2 * spikes) / spikes + rng.uniform(0, 6)
    radius = np.where(np.arange(2 * spikes) % 2, 0.45, 1.0)[:, None]
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _ring(rng: Random) -> Points:
    return band(ellipse(0, 0, 0.75, end=rng.uniform(180, 340)), 0.4)


def _squiggle(rng: Random) -> Points:
    return band(curve([(x, rng.uniform(-0.6, 0.6)) for x in (-1, -0.5, 0, 0.5, 1)], 5), 0.35)


def _pebble(rng: Random) -> Points:
    angles = np.linspace(0, 2 * np.pi, 7)[:-1]
    return blob([(rng.uniform(0.6, 1.1) * np.cos(a), rng.uniform(0.6, 1.1) * np.sin(a)) for a in angles])


def _moon(_: Random) -> Points:
    return np.concatenate([ellipse(0, 0, 1, start=50, end=310), ellipse(0.35, 0, 0.8, start=70, end=290)[::-1]])


FORMS: tuple[Callable[[Random], Points], ...] = (
    _ring,
    _squiggle,
    _pebble,
    _moon,
    lambda rng: star(rng.choice((4, 5, 6, 8)), rng),
    lambda rng: box(-1, -rng.uniform(0.3, 1), 1, 0.6, 0.15),
    lambda rng: np.array([(-1, 0.7), (rng.uniform(-0.5, 0.5), -0.9), (1, 0.7)]),
    lambda rng: ellipse(0, 0, 1, rng.uniform(0.5, 1)),
)


def clutter(count: int, span: tuple[float, float], margin: float, rng: Random) -> list[tuple[Points, Colour]]:
    """Forms that belong to no class, of a radius from `span`, outside the inner square that `margin` leaves.

    Units are shares of the picture's side; `margin` 0.5 lets them lie anywhere.
    """
    forms = []
    for _ in range(count):
        x, y = rng.random(), rng.random()
        if min(x, y, 1 - x, 1 - y) > margin:
            x = rng.choice((rng.uniform(0, margin), rng.uniform(1 - margin, 1)))
        outline = turn(rng.choice(FORMS)(rng), rng.uniform(0, 360)) * rng.uniform(*span) + (x, y)
        forms.append((outline, jitter(rng.choice(PAINTS), rng)))
    return forms


def _fill(draw: ImageDraw.ImageDraw, outline: Points, colour: Colour) -> None:
    draw.polygon(outline.ravel().tolist(), fill=colour)
