"""The converter's child: reads one checkpoint, which may be hostile, within limits, and writes its tensors.

`python -m models.weights.unpickle IN OUT SECONDS`: the sentence that refuses the file, or nothing, on stdout. It ends
when its stdin does, which its parent holds open.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import sys
import threading
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from explorer.errors import shown
from models.errors import WeightsError
from models.weights.containers import contents
from models.weights.safetensors_file import MAX_FILE_BYTES, MAX_TENSORS
from models.weights.stand_ins import foreign_names, harmful, is_network, stand_ins

GROWTH, SLACK_BYTES = 4, 64 * 1024**2  # tensors that share memory, as tied weights do, are written once each
ROOM_BYTES = 1024**3  # of addresses, beside the file's: what the reading itself takes
LONGEST_KEY = 1000  # characters
CURE = "torch.save(model.state_dict(), NEW)"


def unpickle(source: Path, target: Path) -> None:
    """Write the state dict in `source` to `target` as safetensors. Raises WeightsError without the file's name."""
    size_bytes = source.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        raise WeightsError(f"has {size_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
    _limit_memory(size_bytes)
    if zipfile.is_zipfile(source):
        _check_archive(source, size_bytes)
    found = contents(_loaded(source))
    if found is None:
        raise WeightsError("is not a state dict: no dictionary from names to tensors is in it.")
    tensors = _checked(found.state, _allowed(size_bytes))
    try:
        # Cloned one by one where safetensors would refuse them: those that share memory, or are not in order.
        save_file(_apart(tensors), target, found.header)
    except KeyError as error:
        raise WeightsError(f"cannot be converted: safetensors has no type {error}.") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot be converted: the new file cannot be written ({shown(str(error))}).") from None


def _allowed(size_bytes: int) -> int:
    """How many bytes a file of this size may unfold to."""
    return min(MAX_FILE_BYTES, GROWTH * size_bytes + SLACK_BYTES)


def _limit_memory(size_bytes: int) -> None:
    """Let this process take what it has, and what a file of this size needs; the system refuses it more."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # where the system has no such limits
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = held + ROOM_BYTES + size_bytes + _allowed(size_bytes)
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def _limit_time(seconds: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        wanted = math.ceil(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard < 0 else min(wanted, hard), hard))


def _check_archive(source: Path, size_bytes: int) -> None:
    """Refuse an archive that is not torch's, would unfold, or whose content has not the checksums that it states."""
    try:
        with zipfile.ZipFile(source) as archive:
            names = [Path(member.filename).name for member in archive.infolist()]
            unpacked = sum(member.file_size for member in archive.infolist())
            if "constants.pkl" in names:
                cure = "save its tensors alone: torch.save(torch.jit.load(FILE).state_dict(), NEW)"
                raise WeightsError(f"is a TorchScript archive, which holds code; {cure}.")
            if "data.pkl" not in names:
                raise WeightsError("is a zip archive, but none that torch.save made.")
            if unpacked > _allowed(size_bytes):
                raise WeightsError(f"is refused: its {size_bytes:,} bytes would unfold to {unpacked:,}.")
            damaged = archive.testzip()
    except WeightsError:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error):
        raise WeightsError("is damaged: its archive cannot be read.") from None
    if damaged is not None:
        raise WeightsError(f"is damaged: {shown(damaged)} in it has another checksum than it states.")


def _loaded(source: Path) -> Any:
    names = foreign_names(source)
    try:
        with stand_ins(names):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(_why_refused(names)) from None
    except Exception as error:  # a damaged pickle can raise anything
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise WeightsError("is refused: it asks for more memory than a file of its size needs.") from None
        raise WeightsError("is damaged: torch cannot read it.") from None


def _why_refused(names: list[str]) -> str:
    if is_network(names):
        return f"is a whole pickled network, which runs code when it is opened; save its tensors alone: {CURE}."
    if (name := harmful(names)) is not None:
        return f"is refused: it holds {shown(name)} beside tensors, which may run code; save the tensors alone: {CURE}."
    return f"is refused: it holds more than tensors, or is damaged; save the tensors alone: {CURE}."


def _checked(state: Mapping[Any, Tensor], allowed_bytes: int) -> dict[str, Tensor]:
    """The tensors by name, of a state dict that safetensors can hold."""
    if len(state) > MAX_TENSORS:
        raise WeightsError(f"has {len(state):,} tensors; at most {MAX_TENSORS:,} are read.")
    tensors: dict[str, Tensor] = {}
    keys: dict[str, Any] = {}
    for key, value in state.items():
        name = _name(key)
        if name in tensors:
            raise WeightsError(f"cannot be converted: {shown(keys[name])} and {shown(key)} are one name as text.")
        if value.layout is not torch.strided or value.is_quantized or value.is_meta or value.is_nested:
            raise WeightsError(f"cannot be converted: {shown(name)} is sparse, quantized or without values.")
        tensors[name], keys[name] = value.detach(), key
    total = sum(math.prod(value.shape) * value.element_size() for value in tensors.values())
    if total > allowed_bytes:
        raise WeightsError(f"is refused: its tensors would unfold to {total:,} bytes; {allowed_bytes:,} are allowed.")
    return tensors


def _name(key: Any) -> str:
    """A key as safetensors can hold it."""
    if type(key) not in (str, int) or (type(key) is int and abs(key) >= 10**18):
        raise WeightsError(f"cannot be converted: the name {shown(key)} is no text.")
    name = str(key)
    if len(name) > LONGEST_KEY:
        raise WeightsError(f"cannot be converted: a name in it has {len(name):,} characters, {shown(name)}.")
    if name == "__metadata__" or any("\ud800" <= character <= "\udfff" for character in name):
        raise WeightsError(f"cannot be converted: the name {shown(name)} cannot stand in a safetensors file.")
    return name


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each in its own memory and in order."""
    seen = set[int]()
    apart = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        is_own = storage.data_ptr() not in seen and storage.nbytes() == tensor.numel() * tensor.element_size()
        seen.add(storage.data_ptr())
        apart[name] = (
            tensor if is_own and tensor.is_contiguous() else tensor.clone(memory_format=torch.contiguous_format)
        )
    return apart


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing comes, until the other end is closed
    os._exit(1)


def main(source: str, target: str, seconds: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _limit_time(int(seconds))
    try:
        unpickle(Path(source), Path(target))
    except WeightsError as error:
        sys.stdout.buffer.write(str(error).encode())
    except MemoryError:
        sys.stdout.buffer.write(b"is refused: it asks for more memory than a file of its size needs.")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
