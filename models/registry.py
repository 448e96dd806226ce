"""Every architecture and block that can be built, by name; a new one is one new file that calls `register`."""

from __future__ import annotations

import contextlib
import difflib
import pkgutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from explorer.discovery import import_each
from explorer.errors import UnknownNameError, shown

# Imported before models/__init__ binds the function `blocks`, which importing the package later would overwrite.
from models import blocks as block_modules
from models import families as family_modules
from models.errors import SpecError
from models.layers import SHAPE_KEEPING, Add, Scale, tolerant
from models.meta import on_meta
from models.spec import NetSpec, Spec


@dataclass(frozen=True)
class Paper:
    """Where an architecture or block was published."""

    authors: str
    title: str
    venue: str
    url: str


@dataclass(frozen=True)
class Preset:
    """A named Spec; `torchvision` is the builder that it equals, `compact` marks the small nets that we train."""

    spec: NetSpec
    torchvision: str | None = None
    compact: bool = False
    note: str = ""


@dataclass(frozen=True)
class Architecture:
    """A family of networks: what it is, its Spec type, how to build one, and its named presets."""

    name: str
    title: str
    year: int
    paper: Paper
    summary: str
    spec: type[NetSpec]
    builder: Callable[[Any], nn.Module]
    presets: Mapping[str, Preset]


FIT_PX = 32  # side of the map on which a block's output is measured


@dataclass(frozen=True)
class Block:
    """A building block that can be built, analysed and drawn alone; `spec` has in_channels.

    `adapter` gives the Spec of a block in a slot of a network, from the slot's input channels, output channels and
    stride; a block needs one where the fields `width` and `stride` do not say it all.
    """

    name: str
    title: str
    paper: Paper
    summary: str
    spec: type[Spec]
    builder: Callable[[Any], nn.Module]
    input_size: tuple[int, int, int] = (64, 56, 56)
    adapter: Callable[[int, int, int], Spec] | None = None

    def fit(self, in_channels: int, width: int, stride: int = 1) -> Spec:
        """The block's Spec in a slot: maps of `in_channels` come in, `width` go out, `stride` times smaller.

        Raises SpecError where the block cannot do that, e.g. one that keeps the shape of its input.
        """
        fitted = (self.adapter or self._by_field_names)(in_channels, width, stride)
        found = self.output_shape(fitted)
        sides = FIT_PX // stride, -(-FIT_PX // stride)  # a pool may leave out windows that reach over the border
        if found not in [(width, side, side) for side in sides]:
            made = f"{in_channels}×{FIT_PX}×{FIT_PX} becomes {'×'.join(map(str, found))}"
            raise SpecError(f"block={self.name!r} cannot have width={width} and stride={stride} here: {made}.")
        return fitted

    def _by_field_names(self, in_channels: int, width: int, stride: int) -> Spec:
        """`in_channels`, `width` and `stride`, as far as the Spec has them; `width` so that as many channels leave."""
        wanted = {"in_channels": in_channels, "width": width, "stride": stride}
        fitted = self.spec.parse({name: value for name, value in wanted.items() if name in self.spec.model_fields})
        leaves = self.output_shape(fitted)[0]
        if leaves == width or "width" not in self.spec.model_fields:
            return fitted
        return fitted.replace(width=max(1, width * width // leaves))  # e.g. a bottleneck: 4 times its width leave it

    def output_shape(self, spec: Spec, side: int = FIT_PX) -> tuple[int, int, int]:
        """Channels, height and width that the block makes of a square map. Raises SpecError if it cannot read one."""
        return _output_shape(self.builder, spec, side)


@lru_cache(maxsize=4096)
def _output_shape(builder: Callable[[Any], nn.Module], spec: Spec, side: int) -> tuple[int, int, int]:
    with on_meta():
        module = builder(spec).eval()
        x = torch.empty(1, getattr(spec, "in_channels"), side, side)  # noqa: B009  (every block has it)
    try:
        channels, height, width = module(x).shape[1:]
    except (RuntimeError, ValueError) as error:
        raise SpecError(f"{type(spec).__name__} cannot read a map of {side}×{side} px: {error}.") from None
    return channels, height, width


@dataclass
class _Registry:
    architectures: dict[str, Architecture] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


_registry = _Registry()
_discovering = threading.RLock()  # two sessions may be the first at once


def register(entry: Architecture | Block) -> None:
    """Add an entry, an architecture or block; a name that is taken by another is an error of the programmer."""
    table: dict[str, Any] = _registry.blocks if isinstance(entry, Block) else _registry.architectures
    if table.get(entry.name, entry) != entry:
        raise RuntimeError(f"{entry.name!r} is registered twice")
    table[entry.name] = entry


@cache
def _discover_blocks() -> None:
    """Import every module of models.blocks: importing registers."""
    _import_all(block_modules)


@cache
def _discover() -> None:
    """Import every module of models.blocks and models.families."""
    _discover_blocks()
    _import_all(family_modules)


def _import_all(package: Any) -> None:
    """Import each file; what one that fails has registered before is taken back."""
    with _discovering:
        for module in pkgutil.iter_modules(package.__path__):
            before = dict(_registry.architectures), dict(_registry.blocks)
            _, broken = import_each(package, [module.name])
            if broken:
                _registry.architectures, _registry.blocks = before
                _registry.broken += broken


def broken_files() -> tuple[str, ...]:
    """A sentence for each file of a block or family, of those looked for so far, that fails on import."""
    return tuple(_registry.broken)


def architectures() -> list[Architecture]:
    """All architectures, oldest first."""
    _discover()
    return sorted(_registry.architectures.values(), key=lambda a: (a.year, a.title))


def blocks() -> list[Block]:
    """All blocks, by title."""
    _discover_blocks()
    return sorted(_registry.blocks.values(), key=lambda b: b.title)


def presets() -> list[str]:
    """The names of all presets, family by family."""
    return [name for architecture in architectures() for name in architecture.presets]


def architecture_of(preset_name: str) -> Architecture:
    """The family of the preset `preset_name`. Raises UnknownNameError that names it and the nearest."""
    for architecture in architectures():
        if preset_name in architecture.presets:
            return architecture
    raise UnknownNameError(_unknown("preset", preset_name, presets()))


def preset(name: str) -> Preset:
    """The preset of that name. Raises UnknownNameError."""
    return architecture_of(name).presets[name]


def block(name: str) -> Block:
    """The block of that name. Raises UnknownNameError."""
    _discover_blocks()
    if name not in _registry.blocks:
        raise UnknownNameError(_unknown("block", name, _registry.blocks))
    return _registry.blocks[name]


def spec(name: str, /, **knobs: Any) -> NetSpec:
    """The Spec of the preset `name` with knobs changed, validated. Raises UnknownNameError or SpecError."""
    found = preset(name).spec
    return found.replace(**knobs) if knobs else found


def architecture_for(spec: Spec) -> Architecture | Block:
    """The family or block that the type of a spec belongs to. Raises UnknownNameError."""
    _discover()
    for entry in (*_registry.architectures.values(), *_registry.blocks.values()):
        if entry.spec is type(spec):
            return entry
    raise UnknownNameError(f"{type(spec).__name__} is not the Spec of a registered architecture or block.")


def build(
    model: str | Spec, /, *, device: str | torch.device = "cpu", seed: int = 0, unchecked: bool = False, **knobs: Any
) -> nn.Module:
    """Build a model, which a preset's name or a Spec says, in eval mode; the same seed gives the same weights.

    knobs: those to change, by name. `device="meta"` allocates nothing. With `unchecked`, layers that torch refuses
    become `Unbuildable`, and an input too small for the network is not refused. Raises UnknownNameError or SpecError
    that names the knob and its value.
    """
    chosen = spec(model, **knobs) if isinstance(model, str) else model.replace(**knobs)
    if not unchecked:
        check(chosen)
    refused = tolerant() if unchecked else contextlib.nullcontext()
    with _placed_on(torch.device(device), seed), refused:
        return architecture_for(chosen).builder(chosen).eval()


@contextlib.contextmanager
def _placed_on(device: torch.device, seed: int) -> Iterator[None]:
    """Within it tensors are made on the device; the seed determines their random values, which on meta they lack."""
    if device.type == "meta":
        with on_meta():
            yield
        return
    with _DRAWING, torch.random.fork_rng(), device:
        torch.manual_seed(seed)
        yield


_DRAWING = threading.Lock()  # the generator that initial weights are drawn from is one for all threads


@lru_cache(maxsize=4096)
def check(spec: Spec) -> None:
    """Refuse a Spec whose maps would shrink to nothing. Raises SpecError that names image_size and the layer.

    The field and cross-field rules hold already (a Spec cannot exist without them), so that running shapes on the meta
    device can only fail where a map is smaller than the window that reads it.
    """
    if not isinstance(spec, NetSpec):
        return
    with on_meta():
        module = architecture_for(spec).builder(spec).eval()
        image = torch.empty(1, spec.in_channels, spec.image_size, spec.image_size)
    _thin_out(module)
    try:
        module(image)
    except (RuntimeError, ValueError) as error:  # ValueError: an instance norm over a single pixel
        reason = str(error).splitlines()[0].rstrip(".")
        where = _last_entered(module, image)
        raise SpecError(f"image_size={spec.image_size} is too small for this network; at {where}: {reason}.") from None


def _thin_out(module: nn.Module) -> None:
    """Put layers that tell their shape at once in place of those for which torch takes milliseconds on meta."""
    same = nn.Identity()
    for layer in list(module.modules()):
        for name, child in layer._modules.items():
            if isinstance(child, SHAPE_KEEPING):
                layer._modules[name] = same
            elif isinstance(child, Add | Scale):
                layer._modules[name] = _JoinShape(child)
            elif type(child) is nn.Linear:
                layer._modules[name] = _LinearShape(child.in_features, child.out_features)


class _JoinShape(nn.Module):
    """A sum or a gate of which only the shape of the output is asked; what is not of one shape is left to it."""

    def __init__(self, join: nn.Module) -> None:
        super().__init__()
        self.join = join

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x if x.shape == y.shape else self.join(x, y)


class _LinearShape(nn.Module):
    """A linear layer of which only the shape of the output is asked."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.in_features:
            raise RuntimeError(f"{x.shape[-1]} features come to a linear layer of {self.in_features}")
        return x.new_empty((*x.shape[:-1], self.out_features))


def _last_entered(module: nn.Module, image: Tensor) -> str:
    """The path of the layer at which a network stops."""
    entered: list[str] = []
    for path, layer in module.named_modules():
        layer.register_forward_pre_hook(lambda *_, path=path: entered.append(path))
    with contextlib.suppress(RuntimeError, ValueError):
        module(image)
    return entered[-1]


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"There is no {kind} {shown(name)}" + (f"; did you mean {near[0]!r}?" if near else ".")
