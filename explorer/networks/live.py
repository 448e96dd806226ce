"""The module that a person opened from Python: as it is when a page looks at it, and never touched itself.

The page works on copies, one for each state of the weights, so that training may go on beside it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from explorer.errors import UserError, shown
from explorer.graph import doors
from explorer.graph.shapes import image_dtype
from explorer.images.own_pictures import Source
from explorer.networks.catalog import Network
from explorer.types import InputSize
from models.weights.expected_input import ExpectedInput
from models.weights.sources import WeightsSource

LIVE = "live:"
TRIED_PX = (224, 256, 299, 384, 128, 96, 64, 32, 28)  # that are tried where nobody says which images a module takes
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True, eq=False)
class LiveModule:
    """A module with what its person said of it; see `explorer.open`. pictures: by the names that the page shows."""

    module: nn.Module
    input_size: InputSize
    expected: ExpectedInput
    classes: tuple[str, ...] | None = None
    pictures: Mapping[str, Source] = field(default_factory=dict[str, Source])

    @property
    def name(self) -> str:
        """How a link and the lists of the page call it."""
        return LIVE + type(self.module).__name__

    @property
    def device(self) -> str:
        """Where its weights are, and therefore where it is run."""
        weights = next(self.module.parameters(), None)
        return "cpu" if weights is None else str(weights.device)

    def network(self) -> Network:
        """The module as it is at this moment. Raises UserError where it cannot be copied."""
        module = copied(self.module)
        note = "Weights as they were in Python when this page was loaded."
        weights = WeightsSource("held", "held", "As it is in Python", self.expected, note, self.classes)
        dtype = image_dtype(module) or torch.float32
        return Network(self.name, lambda _: module, self.input_size, None, weights, digest(module), dtype, self.device)


def copied(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without gradients. Raises UserError where a part of the module cannot be copied."""
    known = {id(tensor): _copied(tensor) for part in module.modules() for tensor in _tensors(part)}
    try:
        return copy.deepcopy(module, known).eval()
    except Exception as error:  # whatever its attributes raise: an open file, a lock, a generator
        reason = shown(str(error).strip() or type(error).__name__, 120)
        raise UserError(f"{type(module).__name__} cannot be copied ({reason}), and the page works on a copy.") from None


def _copied(tensor: Tensor) -> Tensor:
    """With its values alone: no gradient, and no history, with which torch refuses to copy."""
    copy_ = tensor.detach().clone()
    return nn.Parameter(copy_, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copy_


def _tensors(part: nn.Module) -> Iterator[Tensor]:
    held = (*part._parameters.values(), *part._buffers.values(), *vars(part).values())
    return (value for value in held if isinstance(value, Tensor))


def digest(module: nn.Module) -> str:
    """What is equal for two states of a module only where weights, buffers and settings are."""
    found = hashlib.blake2b(digest_size=16)
    for path, part in module.named_modules():
        settings = {name: value for name, value in vars(part).items() if _is_plain(value) and name != "training"}
        found.update(f"{path} {type(part).__qualname__} {sorted(settings.items())!r}".encode())
    for name, tensor in module.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


# -- what images it takes ---------------------------------------------------------------------------------------------


def found_size(module: nn.Module, asked: Sequence[int] | None) -> InputSize:
    """(channels, height, width) of the images that a module takes: as asked, as timm's networks say, else tried out.

    Raises TraceError where it is no module that can be looked at, UserError where no image of `TRIED_PX` goes through.
    """
    module = doors.checked(module)
    if asked is not None:
        return doors.checked_size(tuple(asked))
    says: Any = getattr(module, "pretrained_cfg", None)
    if isinstance(says, dict) and "input_size" in says:
        return doors.checked_size(tuple(says["input_size"]))
    channels = _channels(module)
    network = copied(module)
    side = next((side for side in TRIED_PX if _goes_through(network, (channels, side, side))), None)
    if side is None:
        tried = ", ".join(map(str, TRIED_PX))
        raise UserError(f"No image of {channels} channels and {tried} px goes through: give input_size=(C, H, W).")
    return channels, side, side


def _channels(module: nn.Module) -> int:
    """Of the first convolution; three where there is none."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def _goes_through(module: nn.Module, size: InputSize) -> bool:
    weights = next(module.parameters(), torch.empty(0))
    image = torch.zeros(1, *size, dtype=image_dtype(module) or torch.float32, device=weights.device)
    try:
        with torch.no_grad():
            module(image)
    except Exception:  # whatever a module raises at an image that is too small, or whose features do not fit
        return False
    return True


def class_names(given: Sequence[str] | Mapping[int, str] | None) -> tuple[str, ...] | None:
    """Names by index, in order. Raises UserError where a mapping leaves one out."""
    if given is None:
        return None
    if isinstance(given, str):
        raise UserError(f"classes={shown(given)} is one text: a list of names is expected.")
    if isinstance(given, Mapping):
        lacking = next((i for i in range(len(given)) if i not in given), None)
        if lacking is not None:
            raise UserError(f"classes: {len(given)} names, and none for index {lacking}.")
        given = [given[i] for i in range(len(given))]
    return tuple(str(name) for name in given)


# -- the one at hand --------------------------------------------------------------------------------------------------

_at_hand: list[LiveModule] = []


def current() -> LiveModule | None:
    """What is open in this process; None where nothing is."""
    return _at_hand[0] if _at_hand else None


def keep(live: LiveModule | None) -> None:
    """Make a module the one that is open, in place of the one before; None where none is to be."""
    _at_hand[:] = [live] if live else []
