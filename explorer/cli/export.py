"""The command `export`: a network as a file that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer.cli.pictures import Chosen
from explorer.errors import UserError, shown
from explorer.exchange.export import FILE_ENDINGS, export
from explorer.networks import catalog, spec_file
from explorer.whole_file import write_whole

_FORMATS = (*FILE_ENDINGS, "json")


def export_command(out: str, to: str | None, **network: Any) -> int:
    """Write a network; to: a format, by default what the ending of `out` says; network: see `Chosen`."""
    chosen, path = Chosen.of(network), Path(out)
    kind = to or next((name for name in _FORMATS if path.suffix == FILE_ENDINGS.get(name, ".json")), None)  # pyright: ignore
    if kind is None:
        raise UserError(f"--out {shown(path.name)} does not end in .json or one of {', '.join(FILE_ENDINGS.values())}.")
    if chosen.choices.named and (kind == "json" or chosen.name.startswith("block:")):
        what = "a file of hyperparameters says nothing of pictures" if kind == "json" else "a block takes no picture"
        raise UserError(f"--{chosen.choices.named[0]}: {what}.")
    if kind == "json":
        spec = catalog.find(chosen.name, dict(chosen.knobs)).spec
        if spec is None:
            raise UserError(f"{chosen.name} has no hyperparameters to write: only presets and blocks have.")
        write_whole(path, lambda draft: draft.write_text(spec_file.spec_text(spec), encoding="utf-8"))
    elif chosen.name.startswith("block:"):
        found = catalog.find(chosen.name, dict(chosen.knobs), chosen.seed)
        export(found.build("cpu"), path, kind, found.input_size)  # pyright: ignore[reportArgumentType]
    else:
        loaded = chosen.load()
        size = loaded.program.graph.layers[0].output_shape[1:]
        export(loaded.module, path, kind, size, classes=loaded.classes, preprocessing=loaded.preprocessing)  # pyright: ignore
    print(f"{chosen.name} was written to {out}, as {kind}.")
    chosen.say_if_random()
    return 0
