"""How features grow: similarity to the last epoch, the strongest units, and that low layers settle first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explorer.analysis.deconvnet import project
from explorer.analysis.evolution import Evolution, centred_gram, cka, evolution, grown_units
from explorer.analysis.trunk import trunk
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram, trace
from explorer.training.epochs import epoch_files, load_epochs
from explorer.training.unseen import unseen_items

RANDOM = np.random.default_rng(0)
ONE, OTHER = RANDOM.normal(size=(12, 5)), RANDOM.normal(size=(12, 8))


def test_similarity_is_that_of_the_features_themselves() -> None:
    """Kornblith et al. give it twice: by inner products of images, and by those of features."""
    a, b = ONE - ONE.mean(0), OTHER - OTHER.mean(0)
    expected = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert cka(centred_gram(ONE), centred_gram(OTHER)) == pytest.approx(expected)
    assert 0.05 < expected < 0.95


def test_a_rotation_a_factor_and_a_shift_change_nothing_and_a_constant_is_like_nothing() -> None:
    rotation, _ = np.linalg.qr(RANDOM.normal(size=(5, 5)))
    assert cka(centred_gram(ONE), centred_gram(3 * ONE @ rotation + 7)) == pytest.approx(1)
    assert cka(centred_gram(ONE), centred_gram(np.ones((12, 2)))) == 0


def program(seed: int) -> TracedProgram:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 3), nn.ReLU())
    return trace(module.eval(), (3, 12, 12))


def test_the_strongest_unit_of_each_epoch_is_found_and_projected() -> None:
    programs, images = {1: program(1), 4: program(2)}, torch.randn(7, 3, 12, 12)
    found = evolution(programs, images, ["2", "4"])
    units = grown_units(found, programs, images, "4", [3, 0])
    assert [(unit.epoch, unit.channel) for unit in units] == [(1, 3), (1, 0), (4, 3), (4, 0)]
    for unit in units:
        maps = programs[unit.epoch].module(images)[:, unit.channel].detach()
        image, row, column = np.unravel_index(int(maps.argmax()), maps.shape)
        assert (unit.image, unit.projection.position) == (image, (row, column))
        alone = project(programs[unit.epoch], images[unit.image], "4", unit.channel, unit.projection.position)
        assert torch.equal(unit.projection.signal, alone.signal)
    assert found.similarity[-1] == pytest.approx(1)
    best = programs[4].module(images).amax((0, 2, 3))
    assert found.strongest("4", 2) == tuple(best.argsort(descending=True)[:2].tolist())


def test_a_layer_is_settled_from_where_on_it_stays_near_the_end() -> None:
    similarity = np.array([[0.95, 0.1], [0.5, 0.8], [0.92, 0.89], [1, 1]])
    found = Evolution((1, 2, 5, 9), ("a", "b"), similarity, {})
    assert [found.settled(layer) for layer in found.layers] == [5, 9]


def test_a_layer_that_dies_is_settled_at_the_last_epoch() -> None:
    programs = {1: program(1), 4: program(2)}
    with torch.no_grad():
        for parameter in programs[4].module.get_submodule("3").parameters():
            parameter.fill_(-1)
    found = evolution(programs, torch.rand(3, 3, 12, 12), ["4"])
    assert found.similarity[:, 0].tolist() == [0, 0]
    assert found.settled("4") == 4


def test_one_image_is_refused() -> None:
    with pytest.raises(UserError, match="two images at least"):
        evolution({1: program(1)}, torch.rand(1, 3, 12, 12), ["2"])


def test_low_layers_come_to_rest_before_high_ones() -> None:
    """Figure 4 of the paper, on the epochs that are shipped."""
    programs = load_epochs()
    found = evolution(programs, unseen_items(48, 64).images, trunk(programs[1].graph))
    early = found.similarity[: found.epochs.index(5) + 1]
    assert (np.diff(early[:, :3], axis=1) < 0).all()  # the higher, the further from its end
    assert (early[:, 4:].max(1) < early[:, 2]).all()
    assert (early[:, 0] > early[:, -1] + 0.3).all()
    assert found.settled(found.layers[0]) < found.settled(found.layers[-1])


def test_the_epochs_are_the_papers() -> None:
    assert list(epoch_files()) == [1, 2, 5, 10, 20, 30, 40, 64]
