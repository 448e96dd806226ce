"""The unseen pictures as pages take them."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.errors import Cancelled
from explorer.training.batches import EVALUATION_SEED
from explorer.training.dataset import draw_item
from explorer.ui import unseen
from explorer.ui.jobs import Job


@pytest.mark.parametrize("size_px", [64, 80])
def test_they_are_those_of_the_set_and_their_drawing_is_told(size_px: int) -> None:
    told = list[tuple[int, int]]()
    images, labels = unseen.pictures(3, size_px, lambda done, total: told.append((done, total)))
    for number in range(3):
        item = draw_item(EVALUATION_SEED, number, size_px)
        assert np.array_equal(images[number], item.image)
        assert labels[number] == item.label
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_drawing_ends_when_the_job_is_to_stop() -> None:
    job = Job(("drawing",), lambda _: None)
    job.stop()
    with pytest.raises(Cancelled):
        unseen.pictures(3, 64, job.part(0, 2))


def test_a_job_of_several_parts_goes_on_in_each_where_it_was() -> None:
    job, shares = Job(("drawing",), lambda _: None), list[float]()
    for part in range(2):
        for done in (0, 5, 10):
            job.part(part, 2)(done, 10)
            shares.append(job.share)
    assert shares == [0, 0.25, 0.5, 0.5, 0.75, 1]
