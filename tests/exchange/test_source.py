"""Networks as Python: the file needs torch alone, and is the same network under the same names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, fx, nn
from torch.nn import functional

import explorer
import models
from explorer.errors import UserError
from explorer.exchange.source.write import python_source

COMPACT = [name for name in models.presets() if models.preset(name).spec.image_size == 64]
LARGE = [name for name in models.presets() if name not in COMPACT]

# What a person does with the files, in an interpreter that has this project neither installed nor in reach.
CLEAN = """
import importlib.util, pathlib, runpy, sys
import torch
from safetensors.torch import save_file
assert importlib.util.find_spec("explorer") is None and importlib.util.find_spec("models") is None
torch.set_num_threads(1)
folder, logits = pathlib.Path(sys.argv[1]), {}
for file in sorted(folder.glob("*.py")):
    made = runpy.run_path(str(file))
    network = made["load"](str(file.with_suffix(".safetensors")))
    image = torch.randn(2, *made["INPUT_SIZE"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits[file.stem] = network(image)
save_file(logits, folder / "logits")
"""


def made(source: str) -> dict[str, Any]:
    """What a file defines."""
    names: dict[str, Any] = {"__name__": "written"}
    exec(compile(source, "written.py", "exec"), names)
    return names


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def warmed(module: nn.Module) -> nn.Module:
    """Norms with statistics that are not 0 and 1, so that none can be left out unseen."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.1, 0.1)  # pyright: ignore[reportArgumentType]
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # pyright: ignore[reportArgumentType]
    return module.eval()


@pytest.mark.parametrize("part", range(4))
def test_every_compact_network_says_the_same_in_a_clean_interpreter(tmp_path: Path, part: int) -> None:
    wanted: dict[str, Tensor] = {}
    for name in COMPACT[part::4]:
        module, spec = warmed(models.build(name)), models.spec(name)
        explorer.export(module, tmp_path / f"{name}.py", input_size=(spec.in_channels, 64, 64))
        save_file(module.state_dict(), tmp_path / f"{name}.safetensors")
        image = torch.randn(2, spec.in_channels, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            wanted[name] = module(image)
    command = [sys.executable, "-I", "-c", CLEAN, str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=110)
    found = load_file(tmp_path / "logits")
    assert found.keys() == wanted.keys()
    off = {name: float((found[name] - wanted[name]).abs().max() / wanted[name].abs().max()) for name in wanted}
    assert {name: value for name, value in off.items() if value > 1e-6} == {}


@pytest.mark.parametrize("name", LARGE)
def test_every_large_network_has_the_same_weights_and_maps(name: str) -> None:
    module, spec = models.build(name, device="meta"), models.spec(name)
    size = (spec.in_channels, spec.image_size, spec.image_size)
    with torch.device("meta"):
        again = made(python_source(module, size, {}, "written.py"))["load"]()
        assert shapes(again) == shapes(module)
        assert list(again.state_dict()) == list(module.state_dict())
        assert again(torch.zeros(2, *size)).shape == (2, spec.num_classes)


@pytest.mark.parametrize("name", ["resnet50", "shufflenet_v2_x1_0", "efficientnet_b0", "vit_ti_16", "googlenet"])
def test_the_analysis_of_the_file_is_that_of_the_network(name: str) -> None:
    module = models.build(name, device="meta")
    with torch.device("meta"):
        again = made(python_source(module, (3, 224, 224), {}, "written.py"))["load"]()
    assert explorer.analyze(again).layers == explorer.analyze(module).layers


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", "efficientnet_b0", "densenet121", "regnet_y_400mf", "convnext_tiny"]
)
def test_torchvisions_networks_are_written_without_torchvision(name: str) -> None:
    module = warmed(torchvision.models.get_model(name))
    source = python_source(module, (3, 64, 64), {}, "written.py")
    assert "torchvision" not in source
    again = made(source)["load"]()
    again.load_state_dict(module.state_dict())
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(image), module(image), rtol=1e-5, atol=1e-6)


class Twice(nn.Module):
    """A reused block, a functional and an in-place activation, a buffer that is no weight, numbers that differ."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.first, self.second = Cut(1), Cut(2)
        self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor([0.5, 1.0, 2.0, -1.0]), persistent=False)
        self.shared = self.stem

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.shared(x))
        y = self.block(x)
        x = self.block(x + 1) - (y - 2 * x) ** 2
        x = x * self.scale[:, None, None]
        x = self.first(x) + self.second(x)
        return self.head(x.mean((2, 3)))


class Cut(nn.Module):
    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.rows : -self.rows].amax(2, keepdim=True)


def test_what_people_write_comes_back() -> None:
    module = Twice()
    source = python_source(module, (3, 16, 16), {}, "written.py")
    again = made(source)["load"]()
    again.load_state_dict(module.state_dict())
    image = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(image), module(image))
    assert source.count("class Cut") == 1, "the two differ in a number, which is a parameter"


FACTOR = 2.0


def scaled(x: Tensor) -> Tensor:
    return x * FACTOR


def halved(x: Tensor, by: float = FACTOR) -> Tensor:
    return x / by


def shifted(x: Tensor) -> Tensor:
    return x + 1


shifted_under_another_name = shifted


def renamed(x: Tensor) -> Tensor:
    return shifted_under_another_name(x)


def load(x: Tensor) -> Tensor:
    return x - 1


fx.wrap("scaled")
fx.wrap("halved")
fx.wrap("renamed")
fx.wrap("load")


class Scaling(nn.Module):
    """A function that a trace keeps whole, and that reads a number of its file."""

    def forward(self, x: Tensor) -> Tensor:
        return scaled(x)


class Halving(nn.Module):
    """One that has the number as its argument's default."""

    def forward(self, x: Tensor) -> Tensor:
        return halved(x)


@pytest.mark.parametrize("name", ["swin_t", "swin_v2_t"])
def test_functions_that_a_trace_keeps_whole_go_along(name: str) -> None:
    module, image = torchvision.models.get_model(name).eval(), torch.randn(2, 3, 64, 64)
    source = python_source(module, (3, 64, 64), {}, "written.py")
    assert "import torchvision" not in source
    again = made(source)["load"]()
    again.load_state_dict(module.state_dict())
    with torch.no_grad():
        assert torch.equal(again(image), module(image))


class Renaming(nn.Module):
    """One that calls another by a name that is not its own."""

    def forward(self, x: Tensor) -> Tensor:
        return renamed(x)


class Loading(nn.Module):
    """One with a name that every written file has itself."""

    def forward(self, x: Tensor) -> Tensor:
        return load(x)


@pytest.mark.parametrize(
    ("module", "name"),
    [(Scaling(), "scaled"), (Halving(), "halved"), (Renaming(), "renamed"), (Loading(), "load")],
)
def test_functions_that_need_more_than_their_source_are_named(module: nn.Module, name: str) -> None:
    with pytest.raises(UserError, match=rf"calls .*test_source\.{name}, which is not torch's"):
        python_source(module, (3, 8, 8), {}, "written.py")


def test_what_cannot_be_written_is_named() -> None:
    weighed = nn.utils.weight_norm(nn.Conv2d(3, 3, 1))  # pyright: ignore[reportDeprecated]
    with pytest.raises(UserError, match="weights that a hook computes"):
        python_source(nn.Sequential(weighed), (3, 8, 8), {}, "written.py")


class Normed(nn.BatchNorm2d):
    """A norm of one's own with its activation, as timm has them."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias))


class Listed(nn.Module):
    """Parts in a list, which are called by number."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Conv2d(3, 3, 1), Normed(3), nn.Conv2d(3, 4, 1)])

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


class Two(nn.Module):
    """A part with two results, of which the later one is read first."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.end = Both(), nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low, high = self.both(x)
        return {"out": self.end(high) + low}


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low = self.first(x)
        return low, self.second(low)


def test_two_results_of_a_part_are_two_variables() -> None:
    module, image = Two().eval(), torch.randn(2, 3, 8, 8)
    again = made(python_source(module, (3, 8, 8), {}, "written.py"))["load"]()
    again.load_state_dict(module.state_dict())
    assert torch.equal(again(image)["out"], module(image)["out"])


def test_lists_of_modules_and_norms_of_ones_own_come_back() -> None:
    module, image = warmed(Listed()), torch.randn(2, 3, 8, 8)
    again = made(python_source(module, (3, 8, 8), {}, "written.py"))["load"]()
    again.load_state_dict(module.state_dict())
    assert torch.equal(again(image), module(image))
