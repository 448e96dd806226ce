"""Names of classes, in the order of a network's logits: from a text, CSV or JSON file, or from JSON elsewhere."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from typing import Any

from explorer.errors import UserError
from models.errors import WeightsError

LONGEST_CLASS = 100  # characters of a class's name
MOST_CLASSES = 21_841
MOST_BYTES = 4 * 1024**2
CLASS_KEYS = ("classes", "class_names", "idx_to_class", "class_to_idx", "id2label", "categories", "labels", "names")
NAME_HEADINGS = ("name", "class_name", "class", "label", "category")  # of a column, the best first
NUMBER_HEADINGS = ("index", "idx", "id", "number", "class_id", "label_id", "class_index")
_JOINERS = "\u200c\u200d"  # invisible, and part of how Persian and Hindi are written


def read_class_names(name: str, content: bytes) -> tuple[str, ...]:
    """The names in a file: one a line, with or without their numbers; a column of a CSV; or JSON, as torchvision,
    Keras and Hugging Face write it. Raises WeightsError that names the file."""
    if len(content) > MOST_BYTES:
        raise WeightsError(f"{name} has {len(content):,} bytes; a file of class names has at most {MOST_BYTES:,}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WeightsError(f"{name} is no text in UTF-8.") from None
    found = _found(name.lower(), text)
    if not found or len(found) > MOST_CLASSES:
        raise WeightsError(f"{name} holds no list of class names: one a line, a CSV, or JSON is needed.")
    return tuple(map(clean_name, found))


def check_count(name: str, names: tuple[str, ...], count: int) -> None:
    """Refuse names that are not as many as the classes. Raises UserError."""
    if len(names) != count:
        raise UserError(f"{name} names {len(names):,} classes, and the network tells {count:,} apart.")


def _found(name: str, text: str) -> list[str] | None:
    if name.endswith(".json") or text.lstrip().startswith(("[", "{")):
        try:
            return _in_json(json.loads(text))
        except (ValueError, RecursionError):
            return None
    if name.endswith((".csv", ".tsv")):
        try:
            return _in_table(list(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else _delimiter(text))))
        except csv.Error:
            return None
    return _in_lines([line.strip() for line in text.splitlines() if line.strip()])


def _in_json(value: Any) -> list[str] | None:
    """A list or a table of names, at the top or under a usual key; of pairs, as Keras's, the second."""
    if isinstance(value, dict):
        inner = next((entry for key, entry in value.items() if key.lower() in CLASS_KEYS), None)
        if isinstance(inner, list | dict):
            return _in_json(inner)
        value = {key: entry[-1] if isinstance(entry, list) and entry else entry for key, entry in value.items()}
    return names_in(value) if isinstance(value, list | dict) else None


def _delimiter(text: str) -> str:
    return ";" if text.count(";") > text.count(",") else ","


def _in_table(rows: list[list[str]]) -> list[str] | None:
    """The column of names, in the order of the column of numbers where there is one."""
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    heads = [cell.lower() for cell in rows[0]]
    named, numbered = _column(heads, NAME_HEADINGS), _column(heads, NUMBER_HEADINGS)
    if named is not None or numbered is not None:
        rows = rows[1:]
    columns = list(zip(*rows, strict=True))
    numbers = [i for i, column in enumerate(columns) if all(map(str.isdecimal, column))]
    numbered = numbered if numbered is not None else next((i for i in numbers if i != named), None)
    named = named if named is not None else next((i for i in range(len(columns)) if i != numbered), None)
    if named is None or not columns:
        return None
    if numbered is None:
        return list(columns[named])
    return _by_number([(_number(n), name) for n, name in zip(columns[numbered], columns[named], strict=True)])


def _column(heads: list[str], wanted: Iterable[str]) -> int | None:
    return next((heads.index(name) for name in wanted if name in heads), None)


def _in_lines(lines: list[str]) -> list[str] | None:
    """The lines, without their numbers where all of them have one."""
    parts = [re.fullmatch(r"(\d{1,5})\s*[:,;.\s]\s*(\S.*)", line) for line in lines]
    numbered = [(int(part[1]), part[2]) for part in parts if part]
    if len(numbered) == len(lines):
        least = min((number for number, _ in numbered), default=0)
        return _by_number([(number - least, name) for number, name in numbered]) or lines
    return lines


def names_in(value: Any) -> list[str] | None:
    """The names in a list, in {"0": name, …}, in {name: 0, …}, or in a text with commas."""
    match value:
        case [*names] if all(isinstance(name, str) for name in names):
            return names
        case {**table} if table and len(table) <= MOST_CLASSES:
            numbered = [(_number(key), name) for key, name in table.items()]
            turned = [(number, name) for name, number in table.items()]
            return _by_number(numbered) or _by_number(turned)
        case str() if "," in value:
            return [name.strip() for name in value.split(",")]
    return None


def _number(key: str) -> int | None:
    return int(key) if key.isdecimal() and len(key) < 6 else None


def _by_number(pairs: list[tuple[Any, Any]]) -> list[str] | None:
    """The names in the order of their numbers, where these are 0, 1, 2 …"""
    if any(type(number) is not int or not isinstance(name, str) for number, name in pairs):
        return None
    ordered = sorted(pairs)
    return [name for _, name in ordered] if [number for number, _ in ordered] == list(range(len(pairs))) else None


def clean_name(name: str) -> str:
    """A name that can be shown anywhere: without control characters, marks of direction and halves of pairs."""
    cut = name if len(name) <= LONGEST_CLASS else f"{name[: LONGEST_CLASS - 1]}…"
    spaced = re.sub(r"\s+", " ", cut).strip()
    return "".join(c if c.isprintable() or c in _JOINERS else "\ufffd" for c in spaced)
