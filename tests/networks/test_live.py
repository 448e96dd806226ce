"""A module that is open from Python: copied as it is, never touched, and told apart by its weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn.utils import parametrizations, weight_norm
from torchvision import transforms
from torchvision.transforms import v2

from explorer.errors import UserError
from explorer.images import codec
from explorer.images.own_pictures import own_pictures
from explorer.networks.given_input import expected_input
from explorer.networks.live import LiveModule, class_names, copied, digest, found_size
from explorer.networks.picture_input import fitted

SIZE = (3, 16, 16)


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5))


def old_weight_norm() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Conv2d(3, 4, 3)), nn.Flatten())  # pyright: ignore[reportDeprecated]


def new_weight_norm() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.Flatten())


# -- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [small, old_weight_norm, new_weight_norm])
def test_a_copy_computes_the_same_in_memory_of_its_own_and_the_module_is_left_as_it_was(
    make: Callable[[], Any],
) -> None:
    module, image = make().train(), torch.rand(2, *SIZE)
    module(image).sum().backward()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    grads = [parameter.grad for parameter in module.parameters()]
    copy = copied(module)
    assert module.training
    assert not copy.training
    assert all(parameter.grad is None for parameter in copy.parameters())
    assert [parameter.grad for parameter in module.parameters()] == grads or all(
        one is other for one, other in zip(grads, (p.grad for p in module.parameters()), strict=True)
    )
    own = {tensor.untyped_storage().data_ptr() for tensor in module.state_dict().values()}
    assert own.isdisjoint(tensor.untyped_storage().data_ptr() for tensor in copy.state_dict().values())
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    torch.testing.assert_close(copied(module)(image), module.eval()(image), rtol=0, atol=0)


def test_what_cannot_be_copied_is_one_sentence() -> None:
    module = small()
    vars(module)["lock"] = threading.Lock()
    with pytest.raises(UserError, match="Sequential cannot be copied .*lock"):
        copied(module)


def _by_step(module: nn.Sequential) -> None:
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    module(torch.rand(2, *SIZE)).sum().backward()
    optimiser.step()


def _behind_torchs_back(module: nn.Sequential) -> None:
    next(module.parameters()).data.add_(1)


def _by_buffer(module: nn.Sequential) -> None:
    module(torch.rand(2, *SIZE))


def _by_setting(module: nn.Sequential) -> None:
    module[0].padding_mode = "reflect"  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("change", [_by_step, _behind_torchs_back, _by_buffer, _by_setting])
def test_every_change_gives_another_digest(change: Callable[[nn.Sequential], None]) -> None:
    module = small().train()
    before = digest(module)
    assert before == digest(small()) == digest(copied(module)), "the mode is no part of it"
    change(module)
    assert digest(module) != before


def test_half_precision_and_numbers_alone_have_digests_too() -> None:
    module = small().to(torch.bfloat16)
    module.register_buffer("scale", torch.tensor(3))
    assert digest(module) == digest(copied(module))


def test_a_network_holds_what_the_module_was_at_that_moment() -> None:
    module = small()
    live = LiveModule(module, SIZE, expected_input(module, SIZE), tuple("abcde"))
    first, image = live.network(), torch.rand(1, *SIZE)
    logits = first.build("cpu")(image)
    _behind_torchs_back(module)
    second = live.network()
    assert first.key != second.key
    assert torch.equal(first.build("cpu")(image), logits)
    assert not torch.equal(second.build("cpu")(image), logits)
    assert first.name == "live:Sequential"


# -- which images it takes --------------------------------------------------------------------------------------------


def test_the_size_is_asked_for_or_said_by_timm_or_the_first_that_goes_through() -> None:
    assert found_size(small(), (3, 20, 10)) == (3, 20, 10)
    assert found_size(timm.create_model("efficientnet_b1"), None) == (3, 240, 240)
    assert found_size(torchvision.models.resnet18(), None) == (3, 224, 224)
    gray = nn.Sequential(nn.Conv2d(1, 2, 5), nn.Flatten(), nn.Linear(2 * 24 * 24, 10))
    assert found_size(gray, None) == (1, 28, 28)
    with pytest.raises(UserError, match=r"give input_size=\(C, H, W\)"):
        found_size(nn.Sequential(nn.Flatten(), nn.Linear(7, 1)), None)


def test_transforms_of_torchvision_give_its_own_tensors() -> None:
    picture = np.asarray(Image.effect_noise((90, 70), 60).convert("RGB"))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    for given in (
        transforms.Compose(
            [transforms.Resize(60), transforms.CenterCrop(48), transforms.ToTensor(), transforms.Normalize(mean, std)]
        ),
        v2.Compose(
            [
                v2.Resize((48, 48)),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(list(mean), list(std)),
            ]
        ),
    ):
        size = (3, 48, 48)
        ours = fitted(expected_input(nn.Identity(), size, given), size).tensor(picture)[0]
        torch.testing.assert_close(ours, given(Image.fromarray(picture)), rtol=0, atol=0.02)


def test_settings_are_taken_and_what_is_none_is_named() -> None:
    given = {"mean": [0.5], "std": [0.5], "fit": "pad", "interpolation": "bicubic"}
    found = expected_input(nn.Identity(), SIZE, given)
    assert (found.mean, found.std, found.fit, found.interpolation) == ((0.5,) * 3, (0.5,) * 3, "pad", "bicubic")
    with pytest.raises(UserError, match="preprocessing: 'crop' is not one of"):
        expected_input(nn.Identity(), SIZE, {"crop": 1})
    with pytest.raises(UserError, match="preprocessing: RandomRotation is not known"):
        expected_input(nn.Identity(), SIZE, transforms.Compose([transforms.RandomRotation(5)]))


def test_names_of_classes() -> None:
    assert class_names({1: "b", 0: "a"}) == class_names(["a", "b"]) == ("a", "b")
    assert class_names(None) is None
    with pytest.raises(UserError, match="none for index 1"):
        class_names({0: "a", 2: "b"})
    with pytest.raises(UserError, match="a list of names is expected"):
        class_names("cat")


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_of_all_kinds_keep_their_pixels(tmp_path: Path) -> None:
    pixels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(255 - pixels).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no picture")
    tensor = torch.from_numpy(pixels).movedim(-1, 0)
    found = own_pictures([tmp_path, Image.fromarray(pixels), pixels, tensor, tensor / 255, str(tmp_path / "b.png")])
    assert list(found) == ["a.png", "b.png", "picture 1", "picture 2", "picture 3", "picture 4", "b.png 1"]
    loaded = {name: codec.load(source, name).pixels for name, source in found.items()}
    assert np.array_equal(loaded.pop("a.png"), 255 - pixels)
    assert all(np.array_equal(one, pixels) for one in loaded.values())
    assert list(own_pictures({"mine": pixels})) == ["mine"]
    assert list(own_pictures(torch.rand(2, 3, 4, 4))) == ["picture 1", "picture 2"]
    assert own_pictures(None) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.png", "nowhere.png is not there"),
        (torch.randn(3, 8, 8), "before normalisation"),
        (np.zeros((2, 3, 4, 5, 6)), "is none"),
        ([3], "of a int none can be made"),
    ],
)
def test_what_is_no_picture_is_one_sentence(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        own_pictures(given)
