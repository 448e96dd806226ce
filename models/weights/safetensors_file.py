"""Reads one safetensors file, which may be hostile, into a module: everything is checked before anything is copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import WeightsError
from models.weights.kept import COUNTER, Kept, kept_of, shapes_of

MAX_FILE_BYTES = 4 * 1024**3  # torchvision's largest, of RegNetY-128GF, has 2.6 GB
MAX_HEADER_BYTES = 16 * 1024**2
MAX_TENSORS = 20_000  # ten times as many as the largest network here has
FLOATS = {"F16", "BF16", "F32", "F64"}
INTEGERS = {"I64", "I32"}
CONVERT = "a .pth file must be converted first: python -m models.weights.convert_checkpoint FILE.pth FILE.safetensors"


def read_header(handle: BinaryIO, size_bytes: int, name: str) -> dict[str, Any]:
    """The header of a file that is whole, as JSON has it. Raises WeightsError that says what is wrong."""
    if size_bytes > MAX_FILE_BYTES:
        raise WeightsError(f"{name} has {size_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
    length = int.from_bytes(handle.read(8), "little")
    if size_bytes < 8 or length > MAX_HEADER_BYTES:
        raise WeightsError(f"{name} is not a safetensors file; {CONVERT}.")
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
    keys = set(file.keys())
    kept = kept_of({key: tuple(file.get_slice(key).get_shape()) for key in keys & targets.keys()}, shapes_of(module))
    if partial:
        keys = set() if kept.is_nothing else set(kept.tensors)
        targets = {key: targets[key] for key in keys}
    _compare(file, keys, targets, name)
    # Mapped from the file, so that no second copy of the weights is held.
    values = {key: file.get_tensor(key).to(targets[key].dtype) for key in sorted(keys)}
    for key, value in values.items():
        if bad := int((~torch.isfinite(value)).sum()):
            raise WeightsError(f"{name}: {key} has {bad:,} of {value.numel():,} values that are NaN or infinite.")
    with torch.no_grad():
        for key, value in values.items():
            targets[key].copy_(value)
    return kept


def _compare(file: Any, keys: set[str], targets: dict[str, Tensor], name: str) -> None:
    problems = [problem for key, target in targets.items() if (problem := _difference(file, keys, key, target))]
    problems += [
        f"{_shown(key)} ({_shape(file.get_slice(key).get_shape())}) is in the file and not in the network"
        for key in sorted(keys - targets.keys())
    ]
    if problems:
        others = len(problems) - 1
        more = f"; {others:,} more {'tensor differs' if others == 1 else 'tensors differ'}" if others else ""
        raise WeightsError(f"{name} holds the weights of another network: {problems[0]}{more}.")


def _difference(file: Any, keys: set[str], key: str, target: Tensor) -> str | None:
    if key not in keys:
        # Checkpoints older than PyTorch 0.4.1 lack this counter, which only training without momentum reads.
        optional = key.endswith(COUNTER)
        return None if optional else f"{key} ({_shape(target.shape)}) is in the network and not in the file"
    found = file.get_slice(key)
    if list(target.shape) != found.get_shape():
        return f"{key} is {_shape(found.get_shape())} in the file and {_shape(target.shape)} in the network"
    if found.get_dtype() not in (FLOATS if target.is_floating_point() else INTEGERS):
        return f"{key} is of type {found.get_dtype()} in the file and {target.dtype} in the network"
    return None


def _shape(shape: Any) -> str:
    return "×".join(map(str, shape)) or "a single value"


def _shown(key: str) -> str:
    """A name from the file, fit for a sentence however long or strange it is."""
    shown = key if key.isprintable() else ascii(key)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
