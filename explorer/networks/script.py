"""What a page shows, as somebody makes it without the page: a script, a command, a notebook."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from models.weights.expected_input import InputChoices

COMMAND = "python -m explorer"
_IMPORTS = (
    "from pathlib import Path", "from PIL import Image", "import explorer", "from explorer.images import codec",
    "from explorer.images import samples", "from explorer.networks import catalog",
    "from models.weights.expected_input import InputChoices",
)  # fmt: skip


class PageQuestion(Protocol):
    """What is asked of a network and a picture: lines of a script that answer it, and the command that does."""

    imports: ClassVar[Sequence[str]]
    of_picture: ClassVar[bool]

    def answer(self) -> Sequence[str]:
        """Lines that work it out of `loaded`, `picture` and `image` [C, H, W]; of `network` where it is of none."""
        ...

    def show(self) -> Sequence[str]:
        """Lines that make a picture of it, `shown`, or tell it."""
        ...

    def arguments(self) -> tuple[str, Sequence[str]]:
        """The command's name, and its options."""
        ...


@dataclass(frozen=True)
class Script:
    """A network, its weights, a picture's way into it, and what is asked.

    knobs: those that differ from the preset, as text. weights: the name of its source, or a file; picture: the name of
    a sample, or a file.
    """

    network: str
    knobs: Mapping[str, str]
    weights: str
    seed: int
    picture: str
    is_sample: bool
    choices: InputChoices
    question: PageQuestion

    def command(self) -> str:
        """A line for a shell."""
        name, options = self.question.arguments()
        knobs = [part for knob, value in self.knobs.items() for part in ("--set", f"{knob}={value}")]
        if not self.question.of_picture:
            return f"{COMMAND} {shlex.join([name, self.network, *options, *knobs])}"
        weights = ["--weights", self.weights, *(["--seed", str(self.seed)] if self.seed else [])]
        said = [f"--{name}={_text(getattr(self.choices, name))}" for name in self.choices.named]
        return f"{COMMAND} {shlex.join([name, self.network, self.picture, *options, *knobs, *weights, *said])}"

    def python(self) -> str:
        """A script that leaves the answer in a variable."""
        lines = [*self._loading(), "", *self.question.answer()]
        return "\n".join([*self._imports(lines), "", *lines]) + "\n"

    def notebook(self) -> str:
        """A Jupyter notebook (format 4.5) that makes the same picture."""
        loading, answer = self._loading(), self.question.answer()
        showing = [*self.question.show(), *(["Image.fromarray(shown)"] if self.question.of_picture else [])]
        cells = [
            _cell("markdown", [f"# {self.network}: {self.question.arguments()[0]}"]),
            _cell("code", [*self._imports([*loading, *answer, *showing]), "", *loading]),
            _cell("code", answer),
            _cell("code", showing),
        ]
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        numbered = [cell | {"id": f"cell-{number}"} for number, cell in enumerate(cells)]
        return json.dumps({"cells": numbered, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"

    def _imports(self, lines: Sequence[str]) -> list[str]:
        """Those that the lines need."""
        text = "\n".join(lines)
        offered = {*_IMPORTS, *self.question.imports}
        return sorted((line for line in offered if re.search(rf"\b{line.split()[-1]}\b", text)), key=_import_order)

    def _loading(self) -> list[str]:
        knobs = f", {dict(self.knobs)!r}" if self.knobs else ""
        seed = f", seed={self.seed}" if self.seed else ""
        said = ", ".join(f"{name}={getattr(self.choices, name)!r}" for name in self.choices.named)
        options = f", choices=InputChoices({said})" if said else ""
        options += ", partial=True" if self.knobs else ""
        found = [f"network = catalog.find({self.network!r}{knobs}{seed})"]
        if not self.question.of_picture:
            return found
        file = f"samples.sample({self.picture!r})" if self.is_sample else f"Path({self.picture!r})"
        return [
            *found,
            f"weights = catalog.weights_source({self.network!r}, {self.weights!r})",
            f"loaded = catalog.load(network, weights{options})",
            f"picture = codec.load({file}).pixels",
            "image = loaded.input(picture)[0]",
        ]


def _import_order(line: str) -> tuple[int, str]:
    """The standard library first, then what is installed, then ours, as formatters have it."""
    ours = line.split()[1].partition(".")[0] in ("explorer", "models")
    return 2 if ours else 0 if "pathlib" in line else 1, line.removeprefix("from ").removeprefix("import ")


def _cell(kind: str, lines: Sequence[str]) -> dict[str, Any]:
    text = [f"{line}\n" for line in lines[:-1]] + [lines[-1]]
    own = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": text, **own}


def _text(value: Any) -> str:
    return ",".join(f"{one:g}" for one in value) if isinstance(value, tuple) else str(value)
