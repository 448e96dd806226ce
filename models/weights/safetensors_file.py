"""Reads one safetensors file, which may be hostile, into a module: everything is checked before anything is copied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import WeightsError
from models.weights.fit import TensorFit, fit
from models.weights.kept import Kept, shapes_of

MAX_FILE_BYTES = 4 * 1024**3  # torchvision's largest, of RegNetY-128GF, has 2.6 GB
MAX_HEADER_BYTES = 16 * 1024**2
MAX_TENSORS = 20_000  # ten times as many as the largest network here has
FLOATS = {"F16", "BF16", "F32", "F64"}
INTEGERS = {"I64", "I32"}


def read_header(handle: BinaryIO, size_bytes: int, name: str) -> dict[str, Any]:
    """The header of a file that is whole, as JSON has it. Raises WeightsError that says what is wrong."""
    if size_bytes > MAX_FILE_BYTES:
        raise WeightsError(f"{name} has {size_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
    length = int.from_bytes(handle.read(8), "little")
    if size_bytes < 8 or length > MAX_HEADER_BYTES:
        raise WeightsError(f"{name} is not a safetensors file.")
    if 8 + length > size_bytes:
        raise WeightsError(
            f"{name} is cut short: its header alone has {length:,} bytes, and {size_bytes - 8:,} follow."
        )
    header = _parsed(handle.read(length), name)
    expected = 8 + length + max(map(_end, header.values()), default=0)
    if size_bytes < expected:
        raise WeightsError(f"{name} is cut short: it has {size_bytes:,} of {expected:,} bytes.")
    return header


def is_whole(path: Path) -> bool:
    """Whether the file's header is sound and all the tensors that it announces are there; values are not read."""
    try:
        with path.open("rb") as handle:
            read_header(handle, path.stat().st_size, path.name)
        with safe_open(path, framework="pt"):
            return True
    except (OSError, SafetensorError, WeightsError):
        return False


def _parsed(text: bytes, name: str) -> dict[str, Any]:
    if (count := text.count(b'"data_offsets"')) > MAX_TENSORS:  # before they are parsed, which takes seconds
        raise WeightsError(f"{name} announces {count:,} tensors; at most {MAX_TENSORS:,} are read.")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise WeightsError(f"{name} is damaged: its header is not valid JSON.") from None
    if not isinstance(header, dict):
        raise WeightsError(f"{name} is damaged: its header is not a JSON object.")
    return header


def _end(entry: Any) -> int:
    """Where a tensor's bytes end; 0 for what is no tensor, which the library then refuses."""
    match entry:
        case {"data_offsets": [_, int(end)]}:
            return end
    return 0


def read_into(module: nn.Module, path: Path, name: str, partial: bool = False) -> Kept:
    """Copy the file's tensors into the module, which has exactly those; it is unchanged where this raises.

    With `partial` the module takes those that fit by name and shape, and the others stay as they are. Values are cast
    to the module's types. Raises WeightsError that names the file, the first difference and the number of others, or
    the first tensor of those taken with a NaN or an infinity.
    """
    try:
        with path.open("rb") as handle:
            read_header(handle, path.stat().st_size, name)
        with safe_open(path, framework="pt") as file:
            return copy_checked(file, module, name, partial)
    except SafetensorError as error:
        raise WeightsError(f"{name} is damaged: {error}.") from None
    except OSError as error:
        raise WeightsError(f"{name} cannot be read: {error.strerror or error}.") from None


def copy_checked(file: Any, module: nn.Module, name: str, partial: bool = False) -> Kept:
    """Copy an opened file's tensors into the module, after all names, shapes, types and values have been checked."""
    targets: dict[str, Tensor] = module.state_dict()
    found = fit({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}, shapes_of(module))  # noqa: SIM118
    wanted = found.names
    if partial:
        wanted = {} if found.kept.is_nothing else {key: found.names[key] for key in found.same}
    elif not found.is_whole:
        raise WeightsError(f"{name} holds the weights of another network: {difference(found)}.")
    _check_types(file, wanted, targets, name)
    # Mapped from the file, so that no second copy of the weights is held.
    values = {key: file.get_tensor(own).to(targets[key].dtype) for key, own in sorted(wanted.items())}
    for key, value in values.items():
        if bad := int((~torch.isfinite(value)).sum()):
            raise WeightsError(f"{name}: {key} has {bad:,} of {value.numel():,} values that are NaN or infinite.")
    with torch.no_grad():
        for key, value in values.items():
            targets[key].copy_(value)
    return found.kept


def _check_types(file: Any, wanted: Mapping[str, str], targets: Mapping[str, Tensor], name: str) -> None:
    """Refuse numbers of another kind, as of a quantized network."""
    for key, own in wanted.items():
        kind = file.get_slice(own).get_dtype()
        if kind not in (FLOATS if targets[key].is_floating_point() else INTEGERS):
            what = f"{key} is of type {kind} in the file and {targets[key].dtype} in the network"
            raise WeightsError(f"{name} holds the weights of another network: {what}.")


def difference(found: TensorFit) -> str:
    """The first tensor that keeps a file from being the network's, and how many others do."""
    wanted = {key: size_text(shape) for key, shape in found.wanted.items()}
    problems = [
        *(f"{key} is {size_text(found.held[found.names[key]])} in the file and {wanted[key]} in the network"
          for key in found.reshaped),
        *(f"{key} ({wanted[key]}) is in the network and not in the file" for key in found.missing),
        *(f"{shown_name(key)} ({size_text(found.held[key])}) is in the file and not in the network"
          for key in found.surplus),
    ]  # fmt: skip
    others = len(problems) - 1
    more = f"; {others:,} more {'tensor differs' if others == 1 else 'tensors differ'}" if others else ""
    return f"{problems[0]}{more}"


def size_text(shape: Any) -> str:
    """A tensor's shape in words: "5×512"."""
    return "×".join(map(str, shape)) or "a single value"


def shown_name(key: str) -> str:
    """A name from the file, fit for a sentence however long or strange it is."""
    shown = key if key.isprintable() else ascii(key)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
