"""Operations that few networks use have their kind, and cost what torch's own counter says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from explorer import analyze


class Rows(nn.Module):
    """A recurrent network along the rows of a map of 3 channels."""

    def __init__(self, recurrent: nn.Module) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: Tensor) -> Tensor:
        return self.recurrent(x.flatten(0, 1))[0]


class Folds(nn.Module):
    """Patches of 2x2 pixels, made and put back, whose values are normalised by two functions."""

    def forward(self, x: Tensor) -> Tensor:
        patches = F.rms_norm(F.unfold(x, 2, stride=2).transpose(1, 2), [12]).transpose(1, 2)
        return F.fold(patches, (8, 6), 2, stride=2)


class Copies(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        return y.copy_(x.flip(1))


CASES: dict[str, tuple[nn.Module, list[str]]] = {
    "lstm": (Rows(nn.LSTM(6, 5, batch_first=True, bidirectional=True)), ["flatten", "recurrent", "select"]),
    "gru": (Rows(nn.GRU(6, 5)), ["flatten", "recurrent", "select"]),
    "rnn": (Rows(nn.RNN(6, 5, num_layers=2)), ["flatten", "recurrent", "select"]),
    "fold": (Folds(), ["unfold", "transpose", "rms_norm", "transpose", "fold"]),
    "fold as a module": (nn.Sequential(nn.Unfold(2), nn.Fold((8, 6), 2)), ["unfold", "fold"]),
    "rms norm": (nn.Sequential(nn.Linear(6, 4), nn.RMSNorm(4)), ["linear", "rms_norm"]),
    "copy": (Copies(), ["constant", "flip", "copy"]),
    "transposed in one and three dimensions": (
        nn.Sequential(nn.Unflatten(1, (1, 3)), nn.ConvTranspose3d(1, 2, 3), nn.Flatten(2), nn.ConvTranspose1d(2, 4, 3)),
        ["reshape", "conv_transpose3d", "flatten", "conv_transpose1d"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_kinds_and_costs(name: str) -> None:
    module, kinds = CASES[name]
    module = module.eval().to(
        "meta"
    )  # on a CPU recurrent layers run as one operation, which the counter cannot see into
    found = analyze(module, (3, 8, 6))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, 3, 8, 6, device="meta"))
    assert [layer.kind for layer in found.layers] == ["input", *kinds]
    assert found.macs == counter.get_total_flops() // 2
    assert all(layer.macs is not None for layer in found.layers)
    assert found.params_used == found.params


class Remembers(nn.Module):
    """Keeps a dict in its state dict beside its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def get_extra_state(self) -> Any:
        return {"steps": 3}

    def set_extra_state(self, state: Any) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_what_a_state_dict_holds_beside_tensors_is_no_weight() -> None:
    assert analyze(Remembers(), (3, 8, 8)).weight_bytes == 4 * (4 * 27 + 4)
