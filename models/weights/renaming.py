"""How other programs, and older versions of torchvision, name the tensors of the same networks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_START = r"(?:^|(?<=\.))"  # of a name, or behind a prefix


@dataclass(frozen=True)
class Renaming:
    """Regular expressions and what they become, in order; title: whose names they are of.

    marks: a name of the file matches the first, and one of the network the second, or the renaming is not tried.
    """

    title: str
    rules: tuple[tuple[str, str], ...]
    marks: tuple[str, str]

    def rename(self, name: str) -> str:
        """The name as the networks here have it."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name

    def applies(self, held: Iterable[str], wanted: Iterable[str]) -> bool:
        """Whether it may be of use between these names."""
        in_file, in_network = (re.compile(mark).search for mark in self.marks)
        return any(map(in_network, wanted)) and any(map(in_file, held))  # files may have many names


WRAPPERS = Renaming("wrapped modules", ((rf"{_START}(module|_orig_mod)\.", ""),), (r"\.(module|_orig_mod)\.", ""))
DENSENET = Renaming(
    "torchvision before 0.3", ((r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2."),),
    (r"denselayer\d+\.norm\.1\.", r"denselayer"),
)  # fmt: skip
TIMM_VIT = Renaming(
    "timm",
    (
        (rf"{_START}cls_token$", "class_token"),
        (rf"{_START}pos_embed$", "encoder.pos_embedding"),
        (rf"{_START}patch_embed\.proj\.", "conv_proj."),
        (rf"{_START}norm\.", "encoder.ln."),
        (rf"{_START}head\.", "heads.head."),
        (rf"{_START}blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
        (r"\.attn\.qkv\.", ".self_attention.in_proj_"),
        (r"\.attn\.proj\.", ".self_attention.out_proj."),
        (r"\.norm([12])\.", r".ln_\1."),
        (r"\.mlp\.fc1\.", ".mlp.0."),
        (r"\.mlp\.fc2\.", ".mlp.3."),
    ),
    (r"attn\.qkv\.", r"self_attention\.in_proj_"),
)  # fmt: skip
OLD_VIT = Renaming(
    "torchvision before 0.14", ((r"\.linear_1\.", ".0."), (r"\.linear_2\.", ".3.")),
    (r"mlp\.linear_1\.", r"self_attention\.in_proj_"),
)  # fmt: skip
RENAMINGS = (WRAPPERS, DENSENET, OLD_VIT, TIMM_VIT)
