"""`python -m models.weights.convert_checkpoint IN.pth OUT.safetensors`: a checkpoint's tensors, without its code.

Run as a process of its own: a pickle is never opened in the app's, and here only with `weights_only`, which refuses
everything but tensors and plain containers.
"""

from __future__ import annotations

import pickle
import sys

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from models.errors import WeightsError


def convert(source: str, target: str) -> None:
    """Write the state dict in `source` to `target` as safetensors. Raises WeightsError that names the file."""
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(f"{source} is refused: it holds more than tensors, or is damaged.") from None
    except Exception as error:  # a damaged archive or pickle can raise anything
        raise WeightsError(f"{source} cannot be read: {_first_line(error)}.") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{source} is not a state dict: a dictionary from names to tensors is needed.")
    for name, value in state.items():
        if not _is_dense(value):
            why = f"{str(name)[:80]!r} is sparse, quantized or without values"
            raise WeightsError(f"{source} cannot be converted: {why}.")
    # Cloned, since safetensors refuses tensors that share memory.
    tensors = {str(name): value.detach().clone().contiguous() for name, value in state.items()}
    try:
        save_file(tensors, target)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{target} cannot be written: {_first_line(error)}.") from None


def _is_dense(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_meta or tensor.is_nested)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 with one line on stderr."""
    try:
        if len(arguments) != 2:
            raise WeightsError("usage: python -m models.weights.convert_checkpoint IN.pth OUT.safetensors")
        convert(*arguments)
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
