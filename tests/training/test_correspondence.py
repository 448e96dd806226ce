"""Table 1 of Zeiler and Fergus (2014) on the shipped network: hidden parts change features alike, places less so."""

from __future__ import annotations

import pytest

from explorer.errors import Cancelled, UserError
from explorer.graph.trace import TracedProgram
from explorer.networks import catalog
from explorer.training.correspondence import CorrespondenceSettings, over_parts, part_changes

LAST_MAPS = "features.17"  # the paper's layer 5


@pytest.fixture(scope="module")
def program() -> TracedProgram:
    return catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"), "cpu").program


@pytest.mark.parametrize("pooled", [False, True])
def test_the_same_part_changes_features_more_alike_than_random_places(program: TracedProgram, pooled: bool) -> None:
    settings = CorrespondenceSettings(("cat", "face"), groups=3, pooled=pooled)
    (found,) = over_parts(part_changes(program, [LAST_MAPS], settings))
    assert found.difference.error is not None
    assert found.difference.mean + 2 * found.difference.error < 0
    assert found.same.mean < found.random.mean
    assert found.difference.items == 8 + 6


def test_the_same_seed_gives_the_same_places_and_another_seed_others(program: TracedProgram) -> None:
    first, again, other = (
        part_changes(program, [LAST_MAPS], CorrespondenceSettings(("clock",), groups=1, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert [each.same for each in first] == [each.same for each in other]
    assert [each.random for each in first] != [each.random for each in other]


def test_progress_is_told_by_part_and_a_cancel_ends_it(program: TracedProgram) -> None:
    told = list[tuple[int, int]]()
    settings = CorrespondenceSettings(("tree",), groups=1)
    part_changes(program, [LAST_MAPS], settings, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        part_changes(program, [LAST_MAPS], settings, cancel=lambda: True)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(UserError, match="'dog' is not a class of the picture set: bird"):
        CorrespondenceSettings(("dog",))
    with pytest.raises(UserError, match="groups=0"):
        CorrespondenceSettings(groups=0)
