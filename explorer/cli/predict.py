"""The command that asks a network about pictures: one, or all of a folder."""

from __future__ import annotations

import csv
import io
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.analysis.predictions import NamedPicture, PredictedPicture, Predictions, predictions, truths
from explorer.cli.json_text import json_text
from explorer.cli.pictures import Chosen, writable
from explorer.errors import UserError, in_percent
from explorer.images import codec, samples
from explorer.images.folder import PictureFile, pictures_in
from explorer.networks.catalog import LoadedNetwork
from explorer.whole_file import write_together

MISTAKES = 10  # that are told


def predict_command(image: str, output: Any, out: str | None, as_json: bool, **network: Any) -> int:
    """Print the classes of a picture, or of all pictures of a folder, with accuracy where its subfolders name classes.

    out: a CSV file with a row for each picture. network: see `Chosen`.
    """
    chosen, files = Chosen.of(network), _files(image)
    target = None if out is None else writable(Path(out), ".csv")
    loaded = chosen.load()
    named, unknown = truths((file.label for file in files), loaded.classes)
    pictures = [_named(file, loaded, named) for file in files]
    (found,) = deque(predictions(loaded.program, pictures, output, progress=_tell), maxlen=1)
    if len(found.problems) == found.count:
        raise UserError(found.rows[0].problem)
    if target is not None:
        write_together(target.parent, {target.name: _table(found, loaded.classes).encode()})
    if as_json:
        print(json_text(_plain(found, loaded.classes)))
    else:
        _say(found, loaded.classes, unknown if named else ())
    chosen.say_if_random()
    return 0


def _files(image: str) -> Sequence[PictureFile]:
    path = Path(image)
    if path.is_dir():
        return pictures_in(path)
    is_sample = image.isalnum() and not path.exists() and image in samples.samples()
    return (PictureFile(samples.sample(image) if is_sample else path, image, ""),)


def _named(file: PictureFile, loaded: LoadedNetwork, named: dict[str, int]) -> NamedPicture:
    return NamedPicture(file.name, lambda: loaded.input(codec.pixels_of(file.path, file.name)), named.get(file.label))


def _tell(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total} pictures ", end="\n" if done == total else "", file=sys.stderr, flush=True)


# -- what is said -----------------------------------------------------------------------------------------------------


def _say(found: Predictions, classes: Sequence[str], unknown: Sequence[str]) -> None:
    for row in found.rows:
        said = ", ".join(f"{classes[i]} {in_percent(value, 1)}" for i, value in row.classes)
        print(f"{row.name}: {row.problem or said}")
    if found.problems:
        print(f"{len(found.problems):,} of {found.count:,} pictures could not be looked at.")
    if unknown:
        print(f"Folders that name no class: {', '.join(unknown[:MISTAKES])}{' …' if len(unknown) > MISTAKES else ''}.")
    if (accuracy := found.accuracy()) is not None:
        five = in_percent(found.accuracy(5) or 0.0, 2)
        print(f"Right: {in_percent(accuracy, 2)} of {len(found.judged):,}; among the first five: {five}.")
    for row in found.mistakes[:MISTAKES]:
        number, value = row.classes[0]
        print(f"  {row.name}: {classes[number]} {in_percent(value, 1)}, is {classes[row.truth or 0]}")


def _table(found: Predictions, classes: Sequence[str]) -> str:
    """A row for each picture: name, true class, most probable class and its probability, what went wrong."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("picture", "truth", "answer", "probability", "problem"))
    for row in found.rows:
        writer.writerow((row.name, "" if row.truth is None else classes[row.truth], *_first(row, classes), row.problem))
    return text.getvalue()


def _first(row: PredictedPicture, classes: Sequence[str]) -> tuple[str, str]:
    return (classes[row.classes[0][0]], f"{row.classes[0][1]:.6f}") if row.classes else ("", "")


def _plain(found: Predictions, classes: Sequence[str]) -> dict[str, Any]:
    rows = [
        {
            "picture": row.name,
            "truth": None if row.truth is None else classes[row.truth],
            "classes": [{"name": classes[i], "probability": value} for i, value in row.classes],
            "problem": row.problem or None,
        }
        for row in found.rows
    ]
    names, counts = found.confusion()
    return {
        "pictures": rows, "output": found.output, "accuracy": found.accuracy(), "accuracy_of_five": found.accuracy(5),
        "confusion": {"classes": [classes[i] for i in names], "counts": counts.tolist()},
    }  # fmt: skip
