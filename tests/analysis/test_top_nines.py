"""`explorer.top_nine`: a module of one's own, and pictures as a folder or a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.errors import Cancelled, ImageError, UnknownNameError, UserError


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / str(number % 2) / f"{number}.png")
    (tmp_path / "0" / "0.png").write_text("not a picture")
    return tmp_path


def test_a_folder_gives_the_greatest_of_each_channels_maps(folder: Path) -> None:
    module, told = small(), list[tuple[int, int]]()
    found = explorer.top_nine(
        module, folder, ["1", "4"], batch_size=5, progress=lambda done, total, _: told.append((done, total))
    )
    assert told == [(5, 12), (10, 12), (12, 12)]
    assert list(found.layers) == ["1", "4"]
    assert list(found.problems) == ["0/0.png"]
    assert "0.png is not a picture" in found.problems["0/0.png"]
    whole = [name for name in found.names if name not in found.problems]
    for layer, top in found.layers.items():
        maps = torch.stack([explorer.feature_maps(module, folder / name, layer) for name in whole])
        expected = maps.amax((2, 3)).sort(0, descending=True).values[:9].T
        np.testing.assert_allclose(top.values, expected, rtol=1e-4, atol=1e-6)
        best = [whole[number] for number in maps.amax((2, 3)).argmax(0).tolist()]
        assert [found.names[number] for number in top.pictures[:, 0].tolist()] == best


def test_tensors_are_taken_as_they_are_and_go_by_their_number() -> None:
    images = [torch.full((3, 16, 16), value) for value in (0.1, 0.9, 0.5)]
    module = nn.Sequential(nn.Conv2d(3, 1, 3))
    nn.init.ones_(module[0].weight)  # pyright: ignore[reportArgumentType]
    nn.init.zeros_(module[0].bias)  # pyright: ignore[reportArgumentType]
    found = explorer.top_nine(module, images, ["0"])
    assert found.names == ("0", "1", "2")
    assert found.layers["0"].pictures[0, :4].tolist() == [1, 2, 0, -1]
    np.testing.assert_allclose(found.layers["0"].values[0, :3], [27 * 0.9, 27 * 0.5, 27 * 0.1], rtol=1e-5)


def test_what_cannot_be_is_one_sentence(folder: Path) -> None:
    image = torch.zeros(3, 16, 16)
    with pytest.raises(UserError, match="pictures is empty"):
        explorer.top_nine(small(), [], ["1"])
    with pytest.raises(ImageError, match="There is no folder nowhere"):
        explorer.top_nine(small(), "nowhere", ["1"])
    with pytest.raises(UserError, match="None of the 1 pictures can be opened; the first: 0.png is not a picture"):
        explorer.top_nine(small(), [folder / "0" / "0.png"], ["1"])
    with pytest.raises(UserError, match=r"pictures differ in size: \[3, 20, 20\] and \[3, 16, 16\]"):
        explorer.top_nine(small(), [image, torch.zeros(3, 20, 20)], ["1"])
    with pytest.raises(UnknownNameError, match="layer='9'"):
        explorer.top_nine(small(), [image], ["9"])
    with pytest.raises(UserError, match="batch_size=0"):
        explorer.top_nine(small(), [image], ["1"], batch_size=0)
    with pytest.raises(Cancelled):
        explorer.top_nine(small(), [image], ["1"], cancel=lambda: True)
