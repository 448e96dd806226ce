"""Puts one subject on paper: pose, ground, clutter, paint, shade, outline, and the part under every pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from explorer.pictures.geometry import Points, Shape, turn
from explorer.pictures.paint import INK, WHITE, Colour, mix, palette, pattern
from explorer.pictures.scenery import clutter, ground
from explorer.pictures.subjects import Subject

PROBE_PX = 40  # raster on which a pose's area is measured
DIRECTIONS = np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1)


@dataclass(frozen=True)
class Drawing:
    """A finished picture [H, W, 3] and, per pixel [H, W], 1 + the index of the visible part, or 0."""

    image: np.ndarray
    part_ids: np.ndarray


@dataclass(frozen=True)
class Style:
    """How one picture is inked and shaded; lengths are shares of the picture's side."""

    line: float
    ink: float
    shade: float
    halo: float
    soft: bool


def paint_picture(subject: Subject, rng: Random, size_px: int) -> Drawing:
    """Draw the subject in a random pose, palette and setting, `size_px` square, anti-aliased."""
    factor = 3 if size_px < 128 else 2
    sheet = Canvas(size_px * factor, rng)
    shapes = _place(_pose(list(subject.draw(rng)), subject.tilt, rng), rng)
    shapes = [replace(shape, points=shape.points * sheet.size) for shape in shapes]
    sheet.scatter(clutter(rng.randint(0, 6), (0.03, 0.09), 0.5, rng), hides=False)
    sheet.ground_under(shapes)
    for shape in shapes:
        sheet.add(shape, 1 + subject.parts.index(shape.part))
    sheet.scatter(clutter(rng.choice((0, 0, 1, 2)), (0.03, 0.06), 0.16, rng), hides=True)
    return sheet.finish(factor)


def _pose(shapes: list[Shape], tilt: float, rng: Random) -> list[Shape]:
    """Centre on the box, then turn, mirror, stretch, shear and tip into slight perspective."""
    everything = np.concatenate([shape.points for shape in shapes])
    centre = (everything.min(axis=0) + everything.max(axis=0)) / 2
    stretch, shear = rng.uniform(0.9, 1.1), rng.uniform(-0.12, 0.12)
    mirror = rng.choice((-1, 1))
    matrix = np.array([[mirror * stretch, 0.0], [shear, 1 / stretch]])
    angle = max(-tilt, min(tilt, rng.gauss(0, tilt / 2)))
    depth = np.array([rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)])
    posed = []
    for shape in shapes:
        points = turn((shape.points - centre) @ matrix, angle)
        posed.append(replace(shape, points=points / (1 + points @ depth)[:, None]))
    return posed


def _place(shapes: list[Shape], rng: Random) -> list[Shape]:
    """Scale to a random share of the picture's area, so that size tells no class, and move at random."""
    everything = np.concatenate([shape.points for shape in shapes])
    low, high = everything.min(axis=0), everything.max(axis=0)
    side = float((high - low).max())
    probe = Image.new("L", (PROBE_PX, PROBE_PX))
    draw = ImageDraw.Draw(probe)
    for shape in shapes:
        draw.polygon(((shape.points - low) * (PROBE_PX / side)).ravel().tolist(), fill=1)
    covered = sum(probe.tobytes()) / PROBE_PX**2
    scale = min((rng.uniform(0.22, 0.52) / covered) ** 0.5, rng.uniform(0.88, 0.97)) / side
    room = 1 - (high - low) * scale
    corner = np.array([rng.uniform(0.02, 0.98), rng.uniform(0.02, 0.98)]) * room
    return [replace(shape, points=(shape.points - low) * scale + corner) for shape in shapes]


class Canvas:
    """A supersampled page `size` pixels square, with the map of part ids beside it."""

    def __init__(self, size: int, rng: Random) -> None:
        self.size, self.rng, self.tones = size, rng, palette(rng)
        self.page = ground(size, self.tones, rng)
        self.ids = Image.new("L", (size, size))
        self.style = _style(rng)
        self.textures = {role: pattern(size, rng) for role in ("main", "second")}
        lift = (WHITE, 0.45) if rng.random() < 0.6 else (INK, 0.28)
        self.print = {role: mix(self.tones.roles[role], *lift) for role in self.textures}

    def scatter(self, forms: list[tuple[Points, Colour]], hides: bool) -> None:
        """Paint clutter; where it `hides` the subject the ids become 0."""
        draw, ids = ImageDraw.Draw(self.page), ImageDraw.Draw(self.ids)
        share = self.rng.uniform(0.0, 0.5)
        for outline, colour in forms:
            points = (outline * self.size).ravel().tolist()
            draw.polygon(points, fill=mix(colour, self.tones.ground[0], 0.0 if hides else share))
            if hides:
                ids.polygon(points, fill=0)

    def ground_under(self, shapes: list[Shape]) -> None:
        """Lay a soft shadow, and sometimes a pale halo, under the whole subject."""
        silhouette = Image.new("L", (self.size, self.size))
        draw = ImageDraw.Draw(silhouette)
        for shape in shapes:
            draw.polygon(shape.points.ravel().tolist(), fill=255)
        if self.style.halo:
            silhouette = _grown(silhouette, self.style.halo * self.size)
        small = silhouette.reduce(4).filter(ImageFilter.BoxBlur(self.size / 64 / 4))
        shadow = small.resize(silhouette.size, Image.Resampling.BILINEAR).point([v * 0.4 for v in range(256)])
        drop = round(0.02 * self.size)
        self.page.paste(INK, (drop, drop), shadow)
        if self.style.halo:
            self.page.paste(self.tones.roles["light"], (0, 0), silhouette)

    def add(self, shape: Shape, part_id: int) -> None:
        """Paint one shape: colour, texture, shade, outline; and enter its id."""
        line = max(1, round(self.style.line * self.size)) if shape.lined and self.style.line else 0
        pad = line + max(2, round(0.03 * self.size))
        low = np.floor(shape.points.min(axis=0)).astype(int) - pad
        high = np.ceil(shape.points.max(axis=0)).astype(int) + pad
        left, top = max(0, int(low[0])), max(0, int(low[1]))
        right, bottom = min(self.size, int(high[0])), min(self.size, int(high[1]))
        if left >= right or top >= bottom:
            return
        area = (left, top, right, bottom)
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon((shape.points - (left, top)).ravel().tolist(), fill=255)
        self._colour(mask, area, shape)
        _trace(ImageDraw.Draw(self.ids), shape.points, part_id, line)
        if line:
            inked = mix(self.tones.roles["dark"], self._colour_of(shape), self.style.ink)
            _stroke(ImageDraw.Draw(self.page), shape.points, inked, line)

    def _colour_of(self, shape: Shape) -> Colour:
        return self.tones.roles[shape.paint]

    def _colour(self, mask: Image.Image, area: tuple[int, int, int, int], shape: Shape) -> None:
        colour = self._colour_of(shape)
        self.page.paste(colour, area, mask)
        texture = self.textures.get(shape.paint)
        if texture is not None:
            self.page.paste(self.print[shape.paint], area, ImageChops.multiply(mask, texture.crop(area)))
        if shape.lined and self.style.shade and min(mask.size) > 0.14 * self.size:
            self._shade(mask, area, mix(colour, INK, 0.6))

    def _shade(self, mask: Image.Image, area: tuple[int, int, int, int], dark: Colour) -> None:
        """Darken the lower right rim: what the mask, moved to the upper left, leaves uncovered."""
        step = -round(0.028 * self.size)
        rim = ImageChops.subtract(mask, ImageChops.offset(mask, step, step), scale=1 / self.style.shade)
        if self.style.soft:
            rim = ImageChops.multiply(rim.filter(ImageFilter.BoxBlur(self.size / 100)), mask)
        self.page.paste(dark, area, rim)

    def finish(self, factor: int) -> Drawing:
        """Average down by `factor`, add paper grain, and sample the ids at the pixel centres."""
        page = self.page.reduce(factor)
        grain = Image.frombytes("L", page.size, self.rng.randbytes(page.width * page.height)).convert("RGB")
        image = np.array(Image.blend(page, grain, self.rng.choice((0.0, 0.0, 0.02, 0.04, 0.06))))
        ids = np.asarray(self.ids)[factor // 2 :: factor, factor // 2 :: factor]
        return Drawing(image, ids)


def _style(rng: Random) -> Style:
    line = rng.choice((0.0, rng.uniform(0.006, 0.012), rng.uniform(0.01, 0.024)))
    halo = rng.uniform(0.02, 0.035) if rng.random() < (0.3 if line else 0.5) else 0.0
    return Style(
        line,
        ink=rng.choice((0.0, 0.0, 0.3, 0.5)),
        shade=rng.choice((0.0, 0.35, 0.45, 0.55)),
        halo=halo,
        soft=rng.random() < 0.5,
    )


def _grown(silhouette: Image.Image, radius: float) -> Image.Image:
    """The silhouette widened by `radius` pixels: laid down again in 12 directions."""
    wide = silhouette.copy()
    for x, y in radius * DIRECTIONS:
        wide.paste(255, (round(x), round(y)), silhouette)
    return wide


def _trace(draw: ImageDraw.ImageDraw, points: Points, fill: int, line: int) -> None:
    draw.polygon(points.ravel().tolist(), fill=fill)
    if line:
        _stroke(draw, points, fill, line)


def _stroke(draw: ImageDraw.ImageDraw, points: Points, fill: int | Colour, line: int) -> None:
    closed = np.concatenate([points, points[:2]]).ravel().tolist()
    draw.line(closed, fill=fill, width=line, joint="curve" if line > 4 else None)
