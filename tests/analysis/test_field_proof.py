"""The proof of receptive fields: against gradients of real networks, and with fields that are wrong on purpose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import models
from explorer.analysis.field_proof import FieldProof, prove_fields
from explorer.analysis.sensitivity import Wiring
from explorer.analysis.structure import Analysis, analyze
from explorer.errors import Cancelled
from explorer.types import Box
from tests.oracles.gradient_support import supports
from tests.oracles.real_gradients import boxes_of
from tests.support.preset_sizes import input_size
from tests.support.random_networks import RandomNetwork

# Torch notes that `same` padding of an even kernel copies its input.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def verdicts(proof: FieldProof) -> Counter[str]:
    return Counter(layer.verdict for layer in proof.layers)


# -- What is found -----------------------------------------------------------------------------------------------------


def wiring_boxes(analysis: Analysis, layer: str) -> dict[tuple[int, int], Box]:
    """What the wiring says of every unit of a layer: one pass for each row and each column of the image."""
    channels, height, width = analysis.graph.layers[0].output_shape[1:]
    rows, columns = analysis[layer].output_shape[2:]
    seen = {}

    def along(axis: int, length: int) -> Tensor:
        images = torch.zeros(length, channels, height, width)
        images.transpose(1, 2 + axis)[range(length), range(length)] = 1
        Wiring(analysis.program).spread(images, lambda name, output: seen.update({name: output}))
        return seen[layer].amax(1) != 0

    by_row, by_column = along(0, height), along(1, width)
    found = {}
    for row in range(rows):
        for column in range(columns):
            touched = by_row[:, row, column].nonzero().flatten(), by_column[:, row, column].nonzero().flatten()
            ends = [(int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0) for at in touched]
            found[row, column] = ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    return found


class Gated(nn.Module):
    """A map weighed by a squeeze of it, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate, self.last = nn.Conv2d(2, 4, 3, 2), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 3, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.last(x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))))


REAL = {
    "strides": nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.Tanh(), nn.Conv2d(4, 2, (3, 5), padding=(0, 2))),
    "dilation and groups": nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2, groups=2), nn.Conv2d(4, 4, 3, groups=4)),
    "reflected": nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), nn.AvgPool2d(2)),
    "transposed": nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 2, 3, 2, 1, 1)),
    "norm over the map": nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4)),
    "gate": Gated(),
    "shuffle": nn.Sequential(nn.Conv2d(2, 8, 3), nn.PixelShuffle(2), nn.Conv2d(2, 2, 2)),
}


@pytest.mark.parametrize("name", REAL)
def test_the_wiring_reaches_what_the_gradient_of_the_real_network_does(name: str) -> None:
    """In float64 with the weights at hand, at random inputs: nothing of the wiring has a part in it."""
    analysis = analyze(REAL[name].eval(), (2, 13, 16))
    last = analysis.layers[-1].id
    found = wiring_boxes(analysis, last)
    units = [*found][:: max(1, len(found) // 9)]
    assert [found[unit] for unit in units] == boxes_of(REAL[name], (2, 13, 16), units)


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_the_wiring_of_random_networks_has_the_support_of_positive_gradients(first: int) -> None:
    for seed in range(first, first + 20):
        network = RandomNetwork(seed).eval()
        analysis = analyze(network, network.input_size)
        last = analysis.layers[-1].id
        found = wiring_boxes(analysis, last)
        units = [*found][:: max(1, len(found) // 5)]
        by_gradient = supports(analysis.program, {last: units})
        assert {unit: found[unit] for unit in units} == {unit: by_gradient[last, unit] for unit in units}, seed


# -- What is said of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_fields_of_random_networks_hold_for_every_unit_of_every_layer(first: int) -> None:
    found = Counter[str]()
    for seed in range(first, first + 20):
        network = RandomNetwork(seed).eval()
        proof = prove_fields(analyze(network, network.input_size))
        assert not proof.of("differs"), (seed, proof.of("differs"))
        found += verdicts(proof)
    assert found["equal"] > 0.85 * sum(found.values())


def smallest(presets: Sequence[str]) -> str:
    return next((name for name in presets if name.endswith("_mini")), presets[0])


SMALLEST = [smallest(list(architecture.presets)) for architecture in models.architectures()]


@pytest.mark.parametrize("name", SMALLEST)
def test_every_unit_of_every_architecture(name: str) -> None:
    analysis = analyze(models.build(name, device="meta").eval(), input_size(name, 64, 72))
    proof = prove_fields(analysis)
    inexact = {layer.id for layer in analysis.layers if layer.certainty != "exact"}
    assert not proof.of("differs")
    assert not proof.of("untried")
    assert {layer.layer for layer in proof.of("within")} <= inexact
    assert proof.units == sum(layer.units for layer in proof.layers) > 0


def test_a_field_that_is_one_pixel_off_is_refuted_by_a_unit() -> None:
    analysis = analyze(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)), (1, 12, 12))
    wider = analyze(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, (4, 3))), (1, 13, 12))
    lie = replace(analysis.layers[2], receptive_field=wider.layers[2].receptive_field)
    told = replace(analysis, layers=(*analysis.layers[:2], lie))
    first, second = prove_fields(told).layers
    assert (first.verdict, second.verdict) == ("equal", "differs")
    assert second.counterexample is not None
    unit = second.counterexample.unit
    assert second.counterexample.which == "strict"
    assert second.counterexample.computed == lie.receptive_field.box(*unit)
    assert second.counterexample.found == (unit[0], unit[1], unit[0] + 5, unit[1] + 5)


def test_an_upper_bound_need_only_hold_what_is_seen() -> None:
    analysis = analyze(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)), (1, 12, 12))
    whole = analyze(nn.Sequential(nn.Conv2d(1, 2, 5), nn.GroupNorm(1, 2)), (1, 12, 12)).layers[2].receptive_field
    first, last = analysis.layers[1:]
    for certainty, verdict in (("bounded", "within"), ("exact", "differs")):
        lie = replace(last, receptive_field=whole, local_receptive_field=whole, certainty=certainty)
        assert prove_fields(replace(analysis, layers=(analysis.layers[0], first, lie))).layers[1].verdict == verdict
    smaller = analyze(nn.Conv2d(1, 2, 3), (1, 10, 10)).receptive_field
    small = replace(last, receptive_field=smaller, certainty="bounded")
    refuted = prove_fields(replace(analysis, layers=(analysis.layers[0], first, small))).layers[1]
    assert refuted.verdict == "differs"
    assert refuted.counterexample is not None
    assert refuted.counterexample.found == (0, 0, 5, 5)


def test_local_fields_are_proven_beside_the_strict_ones() -> None:
    analysis = analyze(Gated(), (2, 13, 16))
    assert verdicts(prove_fields(analysis)) == {"equal": len(prove_fields(analysis).layers)}
    last = analysis.layers[-1]
    lie = replace(last, local_receptive_field=analyze(nn.Conv2d(2, 3, 3, 2), (2, 13, 12)).receptive_field)
    proof = prove_fields(replace(analysis, layers=(*analysis.layers[:-1], lie))).layers[-1]
    assert proof.counterexample is not None
    assert proof.counterexample.which == "local"


class Sorted(nn.Module):
    """An operation without a rule, between two that have one, and a branch that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after, self.idle = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        self.idle(x)
        return self.after(torch.nan_to_num(x))


def test_what_has_no_rule_and_what_is_not_used_is_not_called_proven() -> None:
    proof = prove_fields(analyze(Sorted(), (1, 10, 10)))
    assert {layer.layer: layer.verdict for layer in proof.layers} == {
        "before": "equal", "idle": "untried", "nan_to_num": "untried", "after": "untried",
    }  # fmt: skip
    assert all(layer.units == 0 for layer in proof.of("untried"))


# -- How it is done ----------------------------------------------------------------------------------------------------


def test_every_row_and_column_is_tried_with_progress_and_a_cancel() -> None:
    analysis = analyze(models.build("zfnet_mini", device="meta").eval(), (3, 40, 56))
    steps: list[tuple[int, int]] = []
    proof = prove_fields(analysis, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (96, 96)
    assert proof.directions == 96
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 30

    with pytest.raises(Cancelled):
        prove_fields(analysis, cancel=cancel)
    assert len(asked) == 31


def test_the_network_and_its_weights_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    prove_fields(analyze(network, (1, 8, 8)))
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
