"""What a network says of many pictures is what torch says of each, and the figures are those of the rows."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from explorer.analysis.predictions import NamedPicture, PredictedPicture, Predictions, predictions, truths
from explorer.errors import Cancelled, UserError
from explorer.graph.trace import trace
from explorer.run.plain import PlainNetwork

SIZE = (3, 16, 16)


class Unsteady(nn.Module):
    """A network that no trace follows."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if float(x.sum()) > 0 else self.inner(x)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7)).eval()


IMAGES = torch.randn(23, *SIZE, generator=torch.Generator().manual_seed(2)) * 3


def pictures(broken: tuple[int, ...] = ()) -> list[NamedPicture]:
    def loads(number: int) -> Callable[[], Tensor]:
        def load() -> Tensor:
            if number in broken:
                raise UserError(f"{number} is broken.")
            return IMAGES[number : number + 1]

        return load

    return [NamedPicture(f"{i}.png", loads(i), i % 7) for i in range(len(IMAGES))]


def last(found: object) -> Predictions:
    (one,) = deque(found, maxlen=1)  # type: ignore[call-overload]
    return one


@pytest.mark.parametrize("open_", [lambda module: trace(module, SIZE), lambda module: PlainNetwork(Unsteady(module))])
def test_each_row_is_what_torch_says_of_the_picture(open_: Callable[[nn.Module], object], network: nn.Module) -> None:
    rows = last(predictions(open_(network), pictures(), batch_size=5)).rows  # type: ignore[arg-type]
    with torch.no_grad():
        wanted = network(IMAGES).double().softmax(1).topk(5)
    assert [row.name for row in rows] == [f"{i}.png" for i in range(len(IMAGES))]
    assert [[number for number, _ in row.classes] for row in rows] == wanted.indices.tolist()
    assert torch.allclose(torch.tensor([[p for _, p in row.classes] for row in rows]), wanted.values.float(), atol=1e-6)


def test_broken_pictures_have_a_reason_and_the_others_an_answer(network: nn.Module) -> None:
    whole = last(predictions(trace(network, SIZE), pictures()))
    some = last(predictions(trace(network, SIZE), pictures((0, 4, 22)), batch_size=4))
    assert [row.problem for row in some.problems] == ["0 is broken.", "4 is broken.", "22 is broken."]
    kept = {row.name: row.classes[0][0] for row in some.rows if row.classes}
    assert len(kept) == 20
    assert kept == {row.name: row.classes[0][0] for row in whole.rows if row.name in kept}


def test_accuracy_mistakes_and_confusion_are_counted_from_the_rows(network: nn.Module) -> None:
    found = last(predictions(trace(network, SIZE), pictures()))
    pairs = [(row.truth, row.classes[0][0]) for row in found.rows]
    assert found.accuracy() == sum(truth == answer for truth, answer in pairs) / len(pairs)
    assert found.accuracy(5) == sum(row.truth in dict(row.classes) for row in found.rows) / len(pairs)
    confident = [row.classes[0][1] for row in found.mistakes]
    assert confident == sorted(confident, reverse=True)
    assert len(confident) == sum(truth != answer for truth, answer in pairs)
    names, counts = found.confusion()
    table = {(names[r], names[c]): counts[r, c] for r in range(len(names)) for c in range(len(names)) if counts[r, c]}
    assert table == Counter(pairs)


def test_pictures_come_batch_by_batch_and_stop_on_demand(network: nn.Module) -> None:
    told = list[tuple[int, int]]()
    steps = predictions(trace(network, SIZE), pictures(), batch_size=8, progress=lambda *now: told.append(now),
                        cancel=lambda: len(told) == 2)  # fmt: skip
    assert [len(next(steps).rows), len(next(steps).rows)] == [8, 16]
    with pytest.raises(Cancelled):
        next(steps)
    assert told == [(8, 23), (16, 23)]


def test_an_output_that_is_not_finite_is_a_problem_of_that_picture(network: nn.Module) -> None:
    bad = [NamedPicture("nan.png", lambda: torch.full((1, *SIZE), torch.nan)), *pictures()[:2]]
    rows = last(predictions(trace(network, SIZE), bad)).rows
    assert [bool(row.problem) for row in rows] == [True, False, False]


def test_labels_name_classes_however_they_are_written() -> None:
    classes = ("golden retriever", "Café", "12", "boat")
    labels = ["Golden_Retriever", "café", "3", "12", "zebra", "", "boat", "zebra"]
    found, unknown = truths(labels, classes)
    assert found == {"Golden_Retriever": 0, "café": 1, "3": 3, "12": 2, "boat": 3}
    assert unknown == ("zebra",)


def test_no_known_class_gives_no_accuracy() -> None:
    found = Predictions((PredictedPicture("a", None, ((1, 0.5),)),), 1)
    assert (found.accuracy(), found.mistakes, found.confusion()[0]) == (None, (), ())
