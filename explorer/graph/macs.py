"""How many multiply-accumulates an operation needs, by what it is called with: roles and sizes of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

CONVOLUTIONS = ("conv", "conv1d", "conv3d")
TRANSPOSED = ("conv_transpose", "conv_transpose1d", "conv_transpose3d")
WEIGHTED = frozenset((*CONVOLUTIONS, *TRANSPOSED, "linear"))
PRODUCTS = WEIGHTED | {"matmul", "attention"}
MEASURED = frozenset(("unknown", "einsum", "recurrent"))  # their products are counted while they run


def counted(kind: str, arguments: Mapping[str, Any]) -> dict[str, int]:
    """What a layer keeps of its operands so that its multiply-accumulates can be told; nothing for other kinds.

    fan_in: those per output value (per input value for a transposed convolution); products: all of them at batch 1;
    projections: the part of these that is linear layers.
    """
    if kind.startswith("own_"):
        return {"products": arguments["products"]}
    weight = arguments.get("weight")
    if kind in WEIGHTED and isinstance(weight, Tensor):
        return {"fan_in": weight.numel() // weight.shape[0]}
    if kind == "matmul":
        return {"fan_in": arguments["input"].shape[-1]}
    if kind == "attention":
        operands = arguments["query"], arguments["key"], arguments["value"]
        module = arguments.get("module")
        return _multihead(module, *operands) if module is not None else {"products": _attention(*operands)}
    return {}


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    """q·kᵀ and its product with v, of [..., tokens, width], [..., keys, width] and [..., keys, width of v]."""
    return query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _multihead(module: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> dict[str, int]:
    """nn.MultiheadAttention adds four projections, to its own width (Vaswani et al. 2017, §3.2), of [N, tokens, width]
    if `batch_first`, else of [tokens, N, width]; or of one sequence [tokens, width]."""
    at = int(module.batch_first and query.dim() == 3)
    width, tokens, keys = module.embed_dim, query.shape[at], key.shape[at]
    sequences = query.shape[1 - at] if query.dim() == 3 else 1
    projections = sequences * width * (2 * tokens * width + keys * (key.shape[-1] + value.shape[-1]))
    seen = keys + (module.bias_k is not None) + module.add_zero_attn  # each adds a key that is no token
    return {"products": projections + 2 * sequences * tokens * seen * width, "projections": projections}
