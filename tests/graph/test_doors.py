"""What can be analysed, what is unwrapped first, and the one sentence for each thing that cannot."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from explorer import analyze
from explorer.errors import UserError
from explorer.run.execute import run

SIZE = (3, 12, 12)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x * mask


class ReadsADict(nn.Module):
    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return x["image"].tanh()


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.mean() > 0 else -x


def scripted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(nn.Conv2d(3, 4, 3))


def traced() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.Conv2d(3, 4, 3), torch.rand(1, *SIZE))


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), nn.Linear(432, 5)))


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "signals": (lambda: nn.Conv1d(3, 4, 3), (3, 10), r"input_size=\(3, 10\) is not \(channels, height, width\)"),
    "volumes": (lambda: nn.Conv3d(3, 4, 3), (3, 8, 8, 8), r"input_size=\(3, 8, 8, 8\) is not \(channels, height"),
    "no rows": (lambda: nn.Conv2d(3, 4, 3), (3, 0, 8), r"input_size=\(3, 0, 8\) is not"),
    "fractions": (lambda: nn.Conv2d(3, 4, 3), (3, 8.5, 8), r"input_size=\(3, 8.5, 8\) is not"),
    "two inputs": (TwoInputs, SIZE, r"TwoInputs takes 2 inputs \(x, mask\)"),
    "a dict": (ReadsADict, SIZE, "its input is a dict, of which it reads 'image'"),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), SIZE, "is a LazyConv2d whose weights have no sizes yet"),
    "scripted": (scripted, SIZE, "Conv2d is a module of torch.jit, scripted or traced"),
    "traced": (traced, SIZE, "Conv2d is a module of torch.jit, scripted or traced"),
    "quantised": (quantised, SIZE, "1 is a quantised Linear"),
    "a decision by values": (Decides, SIZE, r"it needs the values of a tensor \(test_doors.py, line \d+\)"),
    "no module": (lambda: abs, SIZE, "is not an nn.Module"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_analysed_is_refused_in_one_sentence(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, size, sentence = REFUSED[what]
    network = make()
    capfd.readouterr()
    with pytest.raises(UserError, match=sentence) as caught:
        analyze(network, size)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # torch.export's logs and graphs


def twice_wrapped(network: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(network)
    return nn.DataParallel(compiled)


WRAPPERS: list[Any] = [nn.DataParallel, torch.compile, twice_wrapped]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrappers_are_taken_off(wrap: Any) -> None:
    network = nn.Conv2d(3, 4, 3)
    assert analyze(wrap(network), SIZE).macs == analyze(network, SIZE).macs == 4 * 27 * 100


def test_a_wrapped_part_is_seen_through() -> None:
    compiled: Any = torch.compile(nn.Conv2d(3, 4, 3))
    network = nn.Sequential(compiled, nn.ReLU())
    assert [layer.kind for layer in analyze(network, SIZE).layers] == ["input", "conv", "relu"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_a_scripted_part_keeps_its_parameters() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), torch.jit.script(nn.Conv2d(4, 4, 3)))
    found = analyze(network, SIZE)
    assert found.params_used == found.params == 112 + 148
    assert found.macs == 4 * 27 * 100 + 4 * 36 * 64


def test_an_exported_program_can_be_analysed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    program = torch.export.export(network, (torch.rand(1, *SIZE),))
    found = analyze(program.module(), SIZE)
    assert found.macs == 4 * 27 * 100
    assert found.params == 112


class Extra(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 1}

    def set_extra_state(self, state: Any) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_extra_state_is_no_weight() -> None:
    assert analyze(Extra(), SIZE).weight_bytes == 4 * 112


# -- Networks for one image alone --------------------------------------------------------------------------------------


class ForOne(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv, self.how = nn.Conv2d(3, 4, 3), how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "loop":
            return torch.cat([self.conv(one[None]) for one in x])
        if self.how == "check" and x.shape[0] != 1:
            raise ValueError("one image, please")
        y = self.conv(x)
        return y.view(1, 4, *y.shape[2:])


@pytest.mark.parametrize("how", ["view", "check", "loop"])
def test_a_network_for_one_image_is_analysed_and_run(how: str) -> None:
    network = ForOne(how).eval()
    found = analyze(network, SIZE)
    assert found[found.graph.outputs[0]].output_shape == (1, 4, 10, 10)
    images = torch.rand(3, *SIZE)
    right = torch.cat([network(one[None]) for one in images])
    assert torch.allclose(run(found.program, images).output, right, atol=1e-6)


class MadeOnDevice(nn.Module):
    """Joins what it makes on the device of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        made = torch.zeros(x.size(0), 1, x.size(2), x.size(3), device=x.device)
        rows = torch.arange(x.size(2), device=x.device, dtype=x.dtype).view(1, 1, -1, 1)
        return self.conv(torch.cat([x.to(made.device), made + rows], 1))


def test_what_a_forward_makes_on_the_device_of_its_input_sees_nothing() -> None:
    found = analyze(MadeOnDevice(), SIZE)
    assert found[found.graph.outputs[0]].receptive_field.box(5, 5) == (5, 5, 8, 8)
    assert found[found.graph.outputs[0]].certainty == "exact"
