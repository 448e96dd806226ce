"""Class names from the files that people have: one a line, CSV, and JSON of several libraries."""

from __future__ import annotations

import json

import pytest

from models.errors import WeightsError
from models.weights.class_names import LONGEST_CLASS, read_class_names

FILES: dict[str, tuple[str, str]] = {
    "lines": ("classes.txt", "cat\ndog\nred fox\n"),
    "lines of Windows with a mark": ("classes.txt", "\ufeffcat\r\ndog\r\n\r\nred fox\r\n"),
    "numbered lines": ("labels.txt", "1: dog\n0: cat\n2: red fox"),
    "numbered from 1": ("labels.txt", "1 cat\n2 dog\n3 red fox"),
    "a column": ("c.csv", "cat\ndog\nred fox\n"),
    "a table": ("c.csv", "id,name,colour\n1,dog,brown\n0,cat,black\n2,red fox,red\n"),
    "a table without heads": ("c.csv", "0,cat\n2,red fox\n1,dog\n"),
    "semicolons": ("c.csv", "name;id\ndog;1\ncat;0\n\"red fox\";2\n"),
    "tabs": ("c.tsv", "0\tcat\n1\tdog\n2\tred fox\n"),
    "a list": ("c.json", '["cat", "dog", "red fox"]'),
    "a table of numbers": ("c.json", '{"0": "cat", "2": "red fox", "1": "dog"}'),
    "a table of names": ("c.json", '{"cat": 0, "red fox": 2, "dog": 1}'),
    "Keras": ("c.json", '{"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "red fox"]}'),
    "Hugging Face": ("config.json", '{"architectures": ["X"], "id2label": {"0": "cat", "1": "dog", "2": "red fox"}}'),
    "JSON by another name": ("c.txt", '["cat", "dog", "red fox"]'),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_the_names_come_in_their_order(case: str) -> None:
    name, text = FILES[case]
    assert read_class_names(name, text.encode()) == ("cat", "dog", "red fox")


REFUSED: dict[str, tuple[str, bytes]] = {
    "nothing": ("c.txt", b""), "blank": ("c.txt", b"\n \n"), "no text": ("c.txt", b"\xff\xfe\x00"),
    "too large": ("c.txt", b"a\n" * 3_000_000), "too many": ("c.txt", b"a\n" * 30_000), "no JSON": ("c.json", b"{"),
    "deep JSON": ("c.json", b"[" * 100_000), "other JSON": ("c.json", b'{"a": {"b": 1.5}}'),
    "gaps": ("c.json", b'{"0": "a", "2": "b"}'), "ragged": ("c.csv", b"a,b\nc\n"), "twice": ("c.csv", b"0,a\n0,b\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_no_names_is_refused_in_a_sentence_that_names_the_file(case: str) -> None:
    name, content = REFUSED[case]
    with pytest.raises(WeightsError, match=rf"^{name} (holds no list|is no text|has [\d,]+ bytes)"):
        read_class_names(name, content)


def test_names_that_cannot_be_shown_are_cleaned() -> None:
    names = read_class_names("c.json", json.dumps(["a\nb", "\u202eabc", "\ud800", "x" * 5000]).encode())
    assert names == ("a b", "\ufffdabc", "\ufffd", "x" * (LONGEST_CLASS - 1) + "…")
