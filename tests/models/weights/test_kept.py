"""What a changed network keeps of weights: every tensor that fits by name and shape, and nothing else of a file."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

import models
from models.errors import WeightsError
from models.weights.kept import Kept, kept_of
from models.weights.sources import WeightsSource, available, file_source, keeps, load
from tests.support.checkpoints import copy_of, same, tiny, trained

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("zfnet_mini", {"activation": "silu"}),
    ("zfnet_mini", {"num_classes": 7}),
    ("zfnet_mini", {"widths": (24, 40, 80, 80, 64)}),
    ("resnet_mini", {"norm": "none"}),
    ("vit_mini", {"image_size": 96}),
    ("densenet_mini", {"growth": 8}),
]


def shipped(name: str) -> WeightsSource:
    return next(source for source in available(name) if source.kind == "shipped")


@pytest.mark.parametrize(("name", "knobs"), CHANGES)
def test_tensors_are_the_files_where_they_fit_and_the_seeds_elsewhere(name: str, knobs: dict[str, Any]) -> None:
    source = shipped(name)
    assert source.path is not None
    theirs, untouched = load_file(source.path), models.build(name, seed=3, **knobs).state_dict()
    module = models.build(name, seed=3, **knobs)
    found = load(module, source, partial=True)
    expected = {
        key: theirs[key].to(value.dtype) if key in theirs and theirs[key].shape == value.shape else value
        for key, value in untouched.items()
    }
    assert same(module.state_dict(), expected)
    assert found is not None
    assert found == keeps(source, name, models.spec(name, **knobs)), "told before as it then comes"
    assert {*found.tensors} == {key for key in theirs.keys() & untouched.keys()
                                if theirs[key].shape == untouched[key].shape}  # fmt: skip


def test_statistics_of_batch_norms_are_kept_with_their_layers() -> None:
    module, source = models.build("zfnet_mini", activation="gelu"), shipped("zfnet_mini")
    assert source.path is not None
    found, theirs = load(module, source, partial=True), load_file(source.path)
    means = [key for key in theirs if key.endswith("running_mean")]
    assert found is not None
    assert found.fresh == ()
    assert means
    assert all(torch.equal(module.state_dict()[key], theirs[key].float()) for key in means)


def test_a_preset_as_it_is_and_random_weights_keep_nothing_in_part() -> None:
    sources = {source.kind: source for source in available("zfnet_mini")}
    assert keeps(sources["shipped"], "zfnet_mini", models.spec("zfnet_mini")) is None
    assert keeps(sources["random"], "zfnet_mini", models.spec("zfnet_mini", activation="gelu")) is None


def test_of_published_weights_it_is_told_before_they_are_here() -> None:
    """torchvision's own network says what its file holds."""
    from torchvision.models import resnet18

    source = next(source for source in available("resnet18") if source.kind == "imagenet")
    changed = models.spec("resnet18", depths=(2, 2, 3, 2), num_classes=10)
    found = keeps(source, "resnet18", changed)
    with torch.device("meta"):
        theirs = {key: value.shape for key, value in resnet18().state_dict().items()}
    own = {key: value.shape for key, value in models.build(changed, device="meta").state_dict().items()}
    assert found is not None
    assert {*found.tensors} == {key for key, shape in own.items() if theirs.get(key) == shape}
    assert found.new == ("layer3.2.conv1", "layer3.2.bn1", "layer3.2.conv2", "layer3.2.bn2", "fc")
    assert found.new_layers == 5


# -- in words ---------------------------------------------------------------------------------------------------------

HELD = {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (4,), "b.running_mean": (4,), "b.num_batches_tracked": ()}
WORDS = {
    "all": ({}, (), "Mine kept, whole."),
    "a layer": ({"a.weight": (5, 3), "a.bias": (5,)}, ("a",), "Mine kept; new: a (1 of 2 layers)."),
    "a tensor": ({"a.bias": (5,)}, ("a.bias",), "Mine kept; new: a.bias (1 of 2 layers)."),
    "a module's own": ({"token": (1, 4), "a.inner.scale": (4,), "a.bias": (5,)}, ("a.bias", "token", "a.inner"),
                       "Mine kept; new: a.bias, token, a.inner (3 of 4 layers)."),
    "nothing": ({key: (9, *shape) for key, shape in HELD.items() if shape}, ("a", "b"),
                "Nothing of Mine fits: all 2 layers are new."),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_new_layers_are_named(case: str) -> None:
    changes, new, sentence = WORDS[case]
    found = kept_of(HELD, {**HELD, **changes})
    assert found.new == new
    assert found.sentence("Mine") == sentence


def test_many_new_layers_are_counted_and_the_first_named() -> None:
    names = {f"layer{i}.weight": (1,) for i in range(1200)}
    said = kept_of({"kept.weight": (2,)}, {"kept.weight": (2,), **names}).sentence("Mine")
    assert said.startswith("Mine kept; new: layer0, layer1, layer2, ")
    assert said.endswith(", … (1,200 of 1,201 layers).")
    assert len(said) < 160


# -- a person's file, and hostile ones --------------------------------------------------------------------------------


def wider() -> nn.Sequential:
    """`tiny` with another classifier."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))


def own(state: dict[str, Tensor]) -> WeightsSource:
    return file_source("mine.safetensors", save(state), "resnet_mini")


def test_a_file_gives_what_fits_and_more_in_it_is_passed_over() -> None:
    module = wider()
    before = copy_of(module)
    found = load(module, own(trained() | {"elsewhere": torch.ones(3)}), partial=True)
    kept = {key: value for key, value in trained().items() if not key.startswith("3.")}
    assert same(module.state_dict(), before | kept)
    assert isinstance(found, Kept)
    assert found.new == ("3",)


def test_values_that_are_not_finite_are_refused_where_they_are_taken_alone() -> None:
    unused = trained() | {"3.bias": torch.full((2,), math.nan)}
    load(wider(), own(unused), partial=True)
    module = wider()
    before = copy_of(module)
    with pytest.raises(WeightsError, match=r"mine\.safetensors: 0\.bias has 1 of 4 values that are NaN"):
        load(module, own(trained() | {"0.bias": torch.tensor([1.0, math.nan, 1, 1])}), partial=True)
    assert same(module.state_dict(), before)


REFUSED = {
    "another type": (trained() | {"0.bias": torch.ones(4, dtype=torch.int8)}, "0.bias is of type I8 in the file"),
    "nothing fits": ({"0.weight": torch.ones(9), "x": torch.ones(2)}, "none of its tensors has the name and shape"),
    "counters alone": ({"1.num_batches_tracked": torch.tensor(3)}, "none of its tensors has the name and shape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_are_refused_and_change_nothing(case: str) -> None:
    state, sentence = REFUSED[case]
    module = wider()
    before = copy_of(module)
    with pytest.raises(WeightsError, match=sentence) as caught:
        load(module, own(state), partial=True)
    assert same(module.state_dict(), before)
    assert str(caught.value).startswith("mine.safetensors")


def test_damaged_files_are_refused_in_part_too() -> None:
    content = save(trained())
    with pytest.raises(WeightsError, match="cut short"):
        load(
            wider(),
            WeightsSource("file", "mine", "mine", own(trained()).preprocessing, data=content[:-9]),
            partial=True,
        )


def test_a_header_with_wrong_shapes_keeps_nothing() -> None:
    held: Any = {"0.weight": (-4, 3, 3, 3), "0.bias": (10**30,), "3.weight": ()}
    wanted = {key: tuple(value.shape) for key, value in tiny().state_dict().items()}
    assert kept_of(held, wanted).is_nothing


def test_of_a_file_of_another_network_it_is_told_before_it_is_loaded() -> None:
    with pytest.raises(WeightsError, match=r"mine\.safetensors holds the weights of another network: none"):
        keeps(own(trained()), "resnet_mini", models.spec("resnet_mini", num_classes=3))


RECTIFIED = [
    name for name in models.presets()
    if models.preset(name).compact and getattr(models.spec(name), "activation", None) == "relu"
]  # fmt: skip


@pytest.mark.parametrize("name", RECTIFIED)
def test_a_swapped_activation_keeps_every_trained_tensor_of_any_family(name: str) -> None:
    found = keeps(shipped(name), name, models.spec(name, activation="gelu"))
    assert found is not None
    assert found.fresh == ()
    assert {*found.tensors} >= {key for key, _ in models.build(name, device="meta").named_parameters()}
