"""Numbers as people write them; the exact value stays beside them, on hover."""

from __future__ import annotations

import math
from fractions import Fraction

from explorer.errors import in_percent
from explorer.run.device import format_bytes

__all__ = ["NO_BREAK", "count", "difference", "format_bytes", "milliseconds", "pair", "shape", "unsteady"]

NO_BREAK = "\u00a0"  # a space at which a narrow column does not break the line
_UNITS = ("", "k", "M", "G", "T", "P")


def count(number: int, unit: str = "") -> str:
    """A count to four digits with a decimal prefix: 61,706, 138.4 M, 15.5 GMACs; below 100,000 exactly."""
    if abs(number) < 100_000:
        return f"{number:,} {unit}".rstrip()
    value, power = float(number), 0
    while abs(value) >= 999.95 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:,.1f} {_UNITS[power]}{unit}"


def difference(now: int, before: int) -> str | None:
    """How `now` differs from `before`: as a count below 1,000, otherwise in per cent; None where it does not."""
    if now == before:
        return None
    sign = "+" if now > before else "-"  # the sign that Streamlit reads for its arrow
    if before < 1000:
        return f"{sign}{abs(now - before):,}"
    return f"{sign}{in_percent(abs(now - before) / before, 1)}"


def pair(values: tuple[int | Fraction, int | Fraction]) -> str:
    """(height, width) in few characters: 224 or 7 × 1."""
    rows, columns = (f"{float(v):.4g}" for v in values)
    return rows if rows == columns else f"{rows} × {columns}"


def shape(dims: tuple[int, ...]) -> str:
    """A shape without the batch: 64 × 56 × 56."""
    return " × ".join(map(str, dims[1:])) or "scalar"


def unsteady(low_s: float, high_s: float) -> str:
    """A time that has no one figure: not steady: 1.65 to 990 ms."""
    return f"not steady: {_digits(low_s * 1000)} to {_digits(high_s * 1000)} ms"


def _digits(value: float) -> str:
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0}f}"


def milliseconds(median_s: float, spread_s: float) -> str:
    """A time with its spread, to three digits: 1.23 ± 0.04 ms."""
    median, spread = median_s * 1000, spread_s * 1000
    decimals = max(0, 2 - math.floor(math.log10(median))) if median > 0 else 3
    return f"{median:,.{decimals}f} ± {spread:,.{decimals}f} ms"
