"""Outlines as point arrays [N, 2] of (x, y), y down, in a subject's own units (it spans about -1..1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Points = np.ndarray
Polyline = Sequence[tuple[float, float]] | np.ndarray


@dataclass(frozen=True)
class Silhouette:
    """One filled outline [N, 2] of a named part; `paint` is a role of the palette."""

    part: str
    points: Points
    paint: str = "main"
    lined: bool = True


def ellipse(
    x: float,
    y: float,
    rx: float,
    ry: float | None = None,
    tilt: float = 0.0,
    start: float = 0.0,
    end: float = 360.0,
) -> Points:
    """Ellipse (or the segment between two angles in degrees, clockwise from the right) → [N, 2]."""
    ry = rx if ry is None else ry
    arc = _arc(8 + int(24 * min(1.0, rx + ry) * (end - start) / 360), start, end) * (rx, ry)
    return move(turn(arc, tilt) if tilt else arc, x, y)


@lru_cache(maxsize=512)
def _arc(steps: int, start: float, end: float) -> Points:
    angle = np.radians(np.linspace(start, end, steps, endpoint=end - start < 360))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Points:
    """Rectangle with rounded corners of `radius` → [N, 2]."""
    if radius <= 0:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float)
    corners = [
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
        (right - radius, top + radius, 270),
    ]
    return np.concatenate([_arc(7, a, a + 90) * radius + (x, y) for x, y, a in corners])


def curve(path: Polyline, steps: int = 6, closed: bool = False) -> Points:
    """Catmull-Rom spline through every point of `path` → [N, 2]."""
    knots = np.asarray(path, dtype=float)
    before, after = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    p = np.concatenate([before, knots, after])
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (k[:, None, :] for k in (a, b, c, d))
    spline = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    spline = spline.reshape(-1, 2)
    return spline if closed else np.concatenate([spline, knots[-1:]])


def blob(path: Polyline, steps: int = 5) -> Points:
    """Closed smooth outline through every point of `path` → [N, 2]."""
    return curve(path, steps, closed=True)


def band(path: Polyline, start: float, end: float | None = None) -> Points:
    """Round-ended stroke along `path`, whose full width goes from `start` to `end` → outline [N, 2]."""
    line = np.asarray(path, dtype=float)
    end = start if end is None else end
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    half = np.linspace(start, end, len(line))[:, None] / 2
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    tip, tail = (_cap(line[-1], along[-1], end / 2), _cap(line[0], -along[0], start / 2))
    return np.concatenate([line - side, tip, (line + side)[::-1], tail])


def _cap(at: Points, direction: Points, radius: float) -> Points:
    angle = np.arctan2(direction[1], direction[0]) + np.radians([-60, -30, 0, 30, 60])
    return at + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def move(points: Points, x: float, y: float) -> Points:
    """Shift [N, 2] by (x, y)."""
    return points + np.array([x, y])


def turn(points: Points, degrees: float, about: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Rotate [N, 2] clockwise on the page about a point."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (points - about) @ np.array([[c, s], [-s, c]]) + about
