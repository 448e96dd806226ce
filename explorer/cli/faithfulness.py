"""The command that measures attributions over the unseen items of the picture set: faithfulness."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from explorer.analysis.mean import Mean
from explorer.errors import UserError
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from explorer.training.batches import EVALUATION_ITEMS
from explorer.training.dataset import CLASSES
from explorer.training.faithfulness import FAITHFULNESS_METHODS, Faithfulness, FaithfulnessMethod, measure
from explorer.training.unseen import unseen_items


def faithfulness_command(
    names: Sequence[str], methods: Sequence[FaithfulnessMethod] | None, items: int | None, device: str | None, out: Path
) -> int:
    """Measure each method on each network, and write a Markdown table on stdout; returns the exit code.

    names: presets that came trained on the set. Results that `out` has are kept. Raises UserError.
    """
    loaded = {name: _loaded(name, device) for name in dict.fromkeys(names)}
    count, chosen = EVALUATION_ITEMS if items is None else items, list(dict.fromkeys(methods or FAITHFULNESS_METHODS))
    found = list[Faithfulness]()
    for size_px, group in groupby(loaded.items(), key=lambda entry: entry[1].preprocessing.crop[0]):
        unseen = unseen_items(count, size_px)
        out.mkdir(parents=True, exist_ok=True)  # before the work, which is in vain if it cannot be made
        for name, network in group:
            found += measure(name, network.program, chosen, unseen, out, _tell)
    if not found:
        raise UserError(f"{', '.join(chosen)}: not defined on {', '.join(loaded)}, so there is no table.")
    print("\n".join(table(found)))
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _loaded(name: str, device: str | None) -> LoadedNetwork:
    source = catalog.weights_source(name)
    if source.kind != "shipped":
        raise UserError(f"{name} has no weights that were trained on the picture set; the compact presets have such.")
    found = catalog.load(catalog.find(name), source, device)
    if found.classes != CLASSES:
        raise UserError(f"{name} does not name the classes of the picture set.")
    return found


def table(found: Sequence[Faithfulness]) -> Iterator[str]:
    """The lines of a Markdown table: a row a method, two columns a network, mean ± standard error."""
    networks, methods = dict.fromkeys(each.network for each in found), dict.fromkeys(each.method for each in found)
    cells = {(each.network, each.method): f"{_percent(each.on_object)} | {_area(each.deletion)}" for each in found}
    yield "| | " + " | ".join(f"{network}: on the object | deletion" for network in networks) + " |"
    yield "|---" * (1 + 2 * len(networks)) + "|"
    for method in methods:
        yield f"| {method} | " + " | ".join(cells.get((network, method), "– | –") for network in networks) + " |"


def _percent(share: Mean) -> str:
    return f"{100 * share.mean:.1f} %" if share.error is None else f"{100 * share.mean:.1f} ± {100 * share.error:.1f} %"


def _area(area: Mean) -> str:
    return f"{area.mean:.3f}" if area.error is None else f"{area.mean:.3f} ± {area.error:.3f}"
