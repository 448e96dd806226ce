"""The command `receipt`: one network under four conventions of counting, and what makes the difference."""

from __future__ import annotations

from typing import Any

from explorer.analysis.receipt import Receipt, Tally, receipt
from explorer.cli.json_text import json_text
from explorer.figures.caveats import uncounted_macs
from explorer.networks import catalog


def receipt_command(
    name: str, knobs: list[tuple[str, str]], input_size: tuple[int, int, int] | None, as_json: bool
) -> None:
    """Count a network under each convention, on meta: nothing is allocated."""
    found = receipt(catalog.find(name, dict(knobs)).analysis(input_size))
    print(json_text({"name": name, **as_data(found)}) if as_json else _text(name, found))


def as_data(found: Receipt) -> dict[str, Any]:
    """A receipt as plain data, as `receipt --json` prints it."""
    return {
        "macs": found["paper"].total,
        "unknown": list(found.unknown),
        "conventions": [
            {
                "name": tally.name,
                "title": tally.title,
                "unit": tally.unit,
                "total": tally.total,
                "difference": tally.difference,
                "counted_by": tally.counted_by,
                "failure": tally.failure or None,
                "unexplained": tally.unexplained,
                "lines": [
                    {"kind": line.kind, "why": line.why, "difference": line.difference, "layers": dict(line.layers)}
                    for line in tally.lines
                ],
            }
            for tally in found.tallies
        ],
    }


def _text(name: str, found: Receipt) -> str:
    blocks = [name, *(_tally(tally) for tally in found.tallies)]
    if missing := uncounted_macs(found.unknown):
        blocks.append(missing)
    return "\n\n".join(blocks)


def _tally(tally: Tally) -> str:
    rows = [
        f"  {line.difference:>+20,}  {line.kind.replace('_', ' ')} × {len(line.layers)}: {line.why}"
        for line in tally.lines
    ]
    if tally.unexplained:
        rows.append(
            f"  {tally.unexplained:>+20,}  not explained: {tally.counted_by} counts what no rule here foresees."
        )
    if tally.failure:
        rows.append(f"  by its rules, as {tally.title} itself fails on this network: {tally.failure}")
    return "\n".join([f"{tally.title}: {tally.total:,} {tally.unit}, counted by {tally.counted_by}", *rows])
