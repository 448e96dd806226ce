"""Colours and patterns. No draw here depends on the subject, so that colour never tells the class."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from explorer.types import Colour

PAINTS: tuple[Colour, ...] = (
    (232, 105, 79),
    (233, 180, 76),
    (42, 157, 143),
    (52, 84, 140),
    (137, 86, 138),
    (143, 176, 138),
    (112, 178, 216),
    (229, 143, 163),
    (187, 76, 60),
    (132, 150, 66),
    (170, 148, 216),
    (244, 172, 132),
    (150, 214, 192),
    (140, 96, 72),
    (63, 184, 196),
    (202, 66, 114),
    (218, 190, 138),
    (100, 120, 146),
    (243, 140, 62),
    (92, 164, 96),
    (244, 216, 98),
    (238, 118, 118),
    (120, 130, 200),
    (96, 196, 150),
)
WHITE: Colour = (255, 252, 245)
INK: Colour = (38, 38, 62)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour between `a` (share 0) and `b` (share 1)."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def jitter(colour: Colour, rng: Random, amount: int = 16) -> Colour:
    """The colour moved by at most `amount` in each channel."""
    red, green, blue = (max(0, min(255, value + rng.randint(-amount, amount))) for value in colour)
    return red, green, blue


def contrast(a: Colour, b: Colour) -> float:
    """Distance of two colours, in 8-bit levels, with green counted double as the eye does."""
    return ((a[0] - b[0]) ** 2 + 2 * (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2) ** 0.5


@dataclass(frozen=True)
class Palette:
    """The colours of one picture: ground tones and, by role, those of the subject."""

    ground: tuple[Colour, ...]
    roles: dict[str, Colour]


def palette(rng: Random) -> Palette:
    """Draw a palette: the subject's paints stand off from the ground and from each other."""
    dusk = rng.random() < 0.25
    ground = [jitter(paint, rng) for paint in rng.sample(PAINTS, 4)]
    if dusk:
        ground = [mix(paint, INK, rng.uniform(0.45, 0.75)) for paint in ground]
    else:
        ground = [mix(paint, WHITE, rng.uniform(0.4, 0.78)) for paint in ground]
    chosen: list[Colour] = []
    for paint in rng.sample(PAINTS, len(PAINTS)):
        if all(contrast(paint, other) > 105 for other in (ground[0], *chosen)):
            chosen.append(jitter(paint, rng))
        if len(chosen) == 3:
            break
    while len(chosen) < 3:
        chosen.append(mix(chosen[0], WHITE, 0.5))
    dark = mix(INK, rng.choice(PAINTS), rng.uniform(0.0, 0.35))
    light = mix(WHITE, rng.choice(PAINTS), rng.uniform(0.0, 0.3))
    main, second, accent = chosen
    roles = {"main": main, "second": second, "accent": accent, "dark": dark, "light": light}
    return Palette(tuple(ground), roles)


def gradient(size: int, corners: tuple[Colour, Colour, Colour, Colour]) -> Image.Image:
    """Square RGB picture that blends four corner colours (rows first)."""
    small = Image.fromarray(np.array(corners, dtype=np.uint8).reshape(2, 2, 3))
    half = small.resize((size // 2, size // 2), Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))
    return half.resize((size, size), Image.Resampling.NEAREST)  # smooth already, and twice as fast


def cloudy(size: int, cells: int, rng: Random) -> Image.Image:
    """Smooth noise, mode L: `cells` random values a side, blended."""
    small = Image.frombytes("L", (cells, cells), rng.randbytes(cells * cells))
    half = small.resize((size // 2, size // 2), Image.Resampling.BICUBIC)
    return half.resize((size, size), Image.Resampling.NEAREST)


def pattern(size: int, rng: Random) -> Image.Image | None:
    """Coverage (mode L) of a random texture: stripes, dots, checks, fade, clouds, speckle; None for plain."""
    kind = rng.choice(("plain", "plain", "plain", "fade", "stripes", "dots", "checks", "clouds", "speckle"))
    if kind == "plain":
        return None
    if kind == "fade":
        return Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize((size, size))
    if kind == "clouds":
        return cloudy(size, rng.randint(5, 12), rng)
    if kind == "speckle":
        return cloudy(size, rng.randint(24, 40), rng).point([255 * (level > 190) for level in range(256)])
    return _tiled(size, kind, rng)


def _tiled(size: int, kind: str, rng: Random) -> Image.Image:
    image = Image.new("L", (size, size))
    draw = ImageDraw.Draw(image)
    pitch = size * rng.uniform(0.06, 0.14)
    slant = rng.uniform(-1, 1)
    count = int(size / pitch) + 2
    for row in range(-count, 2 * count):
        if kind == "stripes":
            x = row * pitch
            draw.line([(x, 0), (x + slant * size, size)], fill=255, width=max(1, round(pitch * 0.45)))
            continue
        for column in range(count if 0 <= row < count else 0):
            _tile(draw, kind, column, row, pitch)
    return image


def _tile(draw: ImageDraw.ImageDraw, kind: str, column: int, row: int, pitch: float) -> None:
    if kind == "dots":
        x, y, r = (column + 0.5 * (row % 2)) * pitch, row * pitch, pitch * 0.27
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    elif (column + row) % 2:
        draw.rectangle((column * pitch, row * pitch, (column + 1) * pitch, (row + 1) * pitch), fill=255)
