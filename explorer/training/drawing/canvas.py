"""Puts one subject on paper: pose, ground, clutter, paint, shade, outline, and the part under every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from explorer.training.drawing.geometry import Points, Silhouette, turn
from explorer.training.drawing.paint import INK, WHITE, mix, palette, pattern
from explorer.training.drawing.scenery import clutter, ground
from explorer.training.drawing.subjects import Subject
from explorer.types import Colour

PROBE_PX = 40  # raster on which a pose's area is measured
FAINT = [round(0.4 * level) for level in range(256)]
COMPASS = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)


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
    shapes = list(subject.draw(rng))
    cuts = np.cumsum([len(shape.points) for shape in shapes[:-1]]).tolist()
    points = _pose(np.concatenate([shape.points for shape in shapes]), subject.tilt, rng)
    outlines = np.split(_place(points, cuts, rng) * sheet.size, cuts)
    shapes = [Silhouette(s.part, outline, s.paint, s.lined) for s, outline in zip(shapes, outlines, strict=True)]
    sheet.scatter(clutter(rng.randint(0, 6), (0.03, 0.09), 0.5, rng), hides=False)
    sheet.ground_under(shapes)
    for shape in shapes:
        sheet.add(shape, 1 + subject.parts.index(shape.part))
    sheet.scatter(clutter(rng.choice((0, 0, 1, 2)), (0.03, 0.06), 0.16, rng), hides=True)
    return sheet.finish(factor)


def _pose(points: Points, tilt: float, rng: Random) -> Points:
    """Centre [N, 2] on its box, then stretch, mirror, shear, turn and tip into slight perspective."""
    stretch, shear = rng.uniform(0.9, 1.1), rng.uniform(-0.12, 0.12)
    matrix = np.array([[rng.choice((-1, 1)) * stretch, 0.0], [shear, 1 / stretch]])
    angle = max(-tilt, min(tilt, rng.gauss(0, tilt / 2)))
    depth = np.array([rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)])
    centred = points - (points.min(axis=0) + points.max(axis=0)) / 2
    posed = turn(centred @ matrix, angle)
    return posed / (1 + posed @ depth)[:, None]


def _place(points: Points, cuts: list[int], rng: Random) -> Points:
    """Scale outlines [N, 2] to a random share of the unit square, so that size tells no class; move them."""
    low = points.min(axis=0)
    extent = points.max(axis=0) - low
    side = float(extent.max())
    unit = (points - low) / side
    share = rng.uniform(0.22, 0.52) / _covered(np.split(unit, cuts))
    scale = min(share**0.5, rng.uniform(0.88, 0.97))
    room = 1 - extent / side * scale
    return unit * scale + room * np.array([rng.uniform(0.02, 0.98), rng.uniform(0.02, 0.98)])


def _covered(outlines: list[Points]) -> float:
    """Share of the unit square that the outlines cover together."""
    probe = Image.new("L", (PROBE_PX, PROBE_PX))
    draw = ImageDraw.Draw(probe)
    for outline in outlines:
        draw.polygon((outline * PROBE_PX).ravel().tolist(), fill=1)
    return sum(probe.tobytes()) / PROBE_PX**2


class Canvas:
    """A supersampled page `size` pixels square, with the map of part ids beside it."""

    def __init__(self, size: int, rng: Random) -> None:
        self.size, self.rng, self.tones = size, rng, palette(rng)
        self.page = ground(size, self.tones, rng)
        self.ids = Image.new("L", (size, size))
        self.pen, self.id_pen = ImageDraw.Draw(self.page), ImageDraw.Draw(self.ids)
        self.style = _style(rng)
        self.textures = {role: pattern(size, rng) for role in ("main", "second")}
        lift = (WHITE, 0.38) if rng.random() < 0.6 else (INK, 0.24)
        self.print = {role: mix(self.tones.roles[role], *lift) for role in self.textures}

    def scatter(self, forms: list[tuple[Points, Colour]], hides: bool) -> None:
        """Paint clutter; where it `hides` the subject the ids become 0."""
        share = self.rng.uniform(0.0, 0.5)
        for outline, colour in forms:
            points = (outline * self.size).ravel().tolist()
            self.pen.polygon(points, fill=mix(colour, self.tones.ground[0], 0.0 if hides else share))
            if hides:
                self.id_pen.polygon(points, fill=0)

    def ground_under(self, shapes: list[Silhouette]) -> None:
        """Lay a soft shadow, and sometimes a pale halo, under the whole subject."""
        silhouette = Image.new("L", (self.size, self.size))
        draw = ImageDraw.Draw(silhouette)
        for shape in shapes:
            draw.polygon(shape.points.ravel().tolist(), fill=255)
        if self.style.halo:
            silhouette = _grown(silhouette, self.style.halo * self.size)
        shadow = silhouette.reduce(2).filter(ImageFilter.BoxBlur(self.size / 128)).point(FAINT)
        shadow = shadow.resize(silhouette.size, Image.Resampling.NEAREST)
        drop = round(0.02 * self.size)
        self._dab(INK, shadow, (drop, drop))
        if self.style.halo:
            self._dab(self.tones.roles["light"], silhouette, (0, 0))

    def _dab(self, colour: Colour, mask: Image.Image, shift: tuple[int, int]) -> None:
        """Paste a colour through a page-sized mask, touching only the box where the mask is not empty."""
        box = mask.getbbox()
        if box:
            self.page.paste(colour, (box[0] + shift[0], box[1] + shift[1]), mask.crop(box))

    def add(self, shape: Silhouette, part_id: int) -> None:
        """Paint one shape: colour, texture, shade, outline; and enter its id."""
        colour = self.tones.roles[shape.paint]
        flat = shape.points.ravel().tolist()
        self.pen.polygon(flat, fill=colour)
        self.id_pen.polygon(flat, fill=part_id)
        self._dress(shape, colour)
        line = max(1, round(self.style.line * self.size)) if shape.lined and self.style.line else 0
        if line:
            joint = "curve" if line > 4 else None
            closed = flat + flat[:4]
            inked = mix(self.tones.roles["dark"], colour, self.style.ink)
            self.pen.line(closed, fill=inked, width=line, joint=joint)
            self.id_pen.line(closed, fill=part_id, width=line, joint=joint)

    def _dress(self, shape: Silhouette, colour: Colour) -> None:
        """Lay texture and shade over a filled shape, inside its own box."""
        texture, step = self.textures.get(shape.paint), max(2, round(0.028 * self.size))
        low, high = shape.points.min(axis=0), shape.points.max(axis=0)
        shaded = shape.lined and self.style.shade and (high - low).min() > 0.08 * self.size
        left, top = (max(0, int(edge) - step) for edge in low)
        right, bottom = (min(self.size, int(edge) + 1 + step) for edge in high)
        if left >= right or top >= bottom or not (texture or shaded):
            return
        area = (left, top, right, bottom)
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon((shape.points - (left, top)).ravel().tolist(), fill=255)
        if texture:
            self.page.paste(self.print[shape.paint], area, ImageChops.multiply(mask, texture.crop(area)))
        if shaded:
            self._shade(mask, area, mix(colour, INK, 0.6), step)

    def _shade(self, mask: Image.Image, area: tuple[int, int, int, int], dark: Colour, step: int) -> None:
        """Darken the lower right rim: what the mask, moved to the upper left, leaves uncovered."""
        rim = ImageChops.subtract(mask, ImageChops.offset(mask, -step, -step), scale=1 / self.style.shade)
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
    """The silhouette widened by `radius` pixels: laid down again in 8 directions, ever less far."""
    for share in (0.5, 0.3, 0.2):
        wide = silhouette.copy()
        for x, y in radius * share * COMPASS:
            wide.paste(255, (round(x), round(y)), silhouette)
        silhouette = wide
    return silhouette
