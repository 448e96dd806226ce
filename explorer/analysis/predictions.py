"""What a network says of many pictures: a row for each, accuracy and confusion where their classes are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.activations import ranked
from explorer.analysis.outputs import Ends, Output, Reading, read
from explorer.analysis.passes import Cancel, Runnable, passes_of
from explorer.errors import Cancelled, UserError

TOP = 5  # classes kept of each picture


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """A picture that is loaded when its turn comes; load: [1, C, H, W], raises UserError where it is broken.

    truth: number of its class, None where it is not known.
    """

    name: str
    load: Callable[[], Tensor]
    truth: int | None = None


@dataclass(frozen=True, slots=True)
class PredictedPicture:
    """The most probable classes of a picture as (number, probability), best first; none, and why, where it has none."""

    name: str
    truth: int | None
    classes: tuple[tuple[int, float], ...]
    problem: str = ""

    @property
    def is_right(self) -> bool | None:
        """Whether the most probable class is the true one; None where either is not known."""
        return None if self.truth is None or not self.classes else self.classes[0][0] == self.truth


@dataclass(frozen=True, eq=False)
class Predictions:
    """What was said of all pictures, in their order; output, tensor: as of an `OcclusionMap`."""

    rows: tuple[PredictedPicture, ...]
    count: int
    output: Output = "softmax"
    tensor: str = ""

    @cached_property
    def judged(self) -> tuple[PredictedPicture, ...]:
        """The pictures whose class is known, and that have an answer."""
        return tuple(row for row in self.rows if row.is_right is not None)

    @property
    def problems(self) -> tuple[PredictedPicture, ...]:
        """The pictures without an answer."""
        return tuple(row for row in self.rows if row.problem)

    def accuracy(self, among: int = 1) -> float | None:
        """The share of pictures whose class is among the most probable (at most TOP); None where no class is known."""
        if not self.judged:
            return None
        hits = sum(row.truth in [number for number, _ in row.classes[:among]] for row in self.judged)
        return hits / len(self.judged)

    @property
    def mistakes(self) -> tuple[PredictedPicture, ...]:
        """The pictures that were answered wrongly, the most confident first."""
        wrong = (row for row in self.judged if not row.is_right)
        return tuple(sorted(wrong, key=lambda row: -row.classes[0][1]))

    def confusion(self) -> tuple[tuple[int, ...], np.ndarray]:
        """The classes that occur, as truth or as answer, and how many pictures of one (row) were taken for another."""
        pairs = [(row.truth or 0, row.classes[0][0]) for row in self.judged]
        names = tuple(sorted({number for pair in pairs for number in pair}))
        place = {number: at for at, number in enumerate(names)}
        counts = np.zeros((len(names), len(names)), np.int64)
        for truth, answer in pairs:
            counts[place[truth], place[answer]] += 1
        return names, counts


def predictions(
    network: Runnable,
    pictures: Sequence[NamedPicture],
    output: Output | None = None,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Predictions]:
    """What the network says of pictures, batch by batch: each result holds all rows so far.

    A picture that cannot be loaded has a row with the reason, and the others go on. output: as of `predict`.
    Raises UserError where the network names no classes, Cancelled.
    """
    looking, rows = _Looking(network, output, cancel), list[PredictedPicture]()
    size = batch_size
    for batch in _batches(pictures, lambda image: size or passes_of(network).batch_size(image), cancel):
        rows += looking.rows(batch)
        if progress is not None:
            progress(len(rows), len(pictures))
        yield looking.result(rows, len(pictures))


def truths(labels: Iterable[str], classes: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The class that each label names, by its name however it is written or by its number; and the labels that name
    none."""
    by_name = {_plain(name): number for number, name in enumerate(classes)}
    found = dict[str, int]()
    for label in dict.fromkeys(labels):
        number = by_name.get(_plain(label))
        if number is None and label.isdecimal() and len(label) < 8 and int(label) < len(classes):
            number = int(label)
        if number is not None:
            found[label] = number
    return found, tuple(label for label in dict.fromkeys(labels) if label and label not in found)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().casefold()


_Loaded = tuple[NamedPicture, Tensor | str]  # the picture, or why there is none


def _batches(
    pictures: Sequence[NamedPicture], size_for: Callable[[Tensor], int], cancel: Cancel | None
) -> Iterator[list[_Loaded]]:
    """Pictures of a few, those that are broken among them with the reason."""
    batch, size = list[_Loaded](), 1
    for picture in pictures:
        if cancel is not None and cancel():
            raise Cancelled
        try:
            image: Tensor | str = picture.load()
            size = size_for(image)
        except UserError as error:
            image = str(error)
        batch.append((picture, image))
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass
class _Looking:
    """Runs batches, and finds out from the first what the values of the network mean."""

    network: Runnable
    asked: Output | None
    cancel: Cancel | None
    reading: Reading | None = field(default=None, init=False)

    def rows(self, batch: Sequence[_Loaded]) -> list[PredictedPicture]:
        images = [image for _, image in batch if isinstance(image, Tensor)]
        answers = iter(self._answers(torch.cat(images)) if images else ())
        return [
            PredictedPicture(picture.name, picture.truth, (), image)
            if isinstance(image, str)
            else self._row(picture, next(answers))
            for picture, image in batch
        ]

    def _answers(self, images: Tensor) -> Tensor:
        """Probabilities [N, classes]."""
        if self.reading is None:
            with Ends() as ends:
                returned, _, count = next(passes_of(self.network).forward(images[:1], None, self.cancel))
            self.reading = read(returned, count, ends, self.asked)
        reading = self.reading
        return torch.cat([
            reading.values(returned, count)
            for returned, _, count in passes_of(self.network).forward(images, None, self.cancel)
        ])  # fmt: skip

    def _row(self, picture: NamedPicture, values: Tensor) -> PredictedPicture:
        assert self.reading is not None
        found = ranked(values, TOP, self.reading)
        problem = "" if found.is_finite else "The output holds NaN or infinity."
        return PredictedPicture(picture.name, picture.truth, found.classes, problem)

    def result(self, rows: Sequence[PredictedPicture], count: int) -> Predictions:
        if self.reading is None:
            return Predictions(tuple(rows), count)
        return Predictions(tuple(rows), count, self.reading.output, self.reading.tensor)
