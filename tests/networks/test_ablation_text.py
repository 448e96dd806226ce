"""Parts that are switched off, as a link says them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.ablation import Ablation
from explorer.errors import UserError
from explorer.networks.ablation_text import decode_ablations, encode_ablations

IDS = st.from_regex(r"[a-z][a-z0-9_]{0,5}(\.[a-z0-9_]{1,5}){0,2}(#[2-9])?", fullmatch=True)
PARTS = st.tuples(
    st.lists(st.integers(0, 4095), unique=True, max_size=4).map(tuple),
    st.lists(IDS, unique=True, max_size=3).map(tuple),
).filter(any)


@given(st.dictionaries(IDS, PARTS, max_size=4))
def test_a_link_brings_back_what_was_off(parts: dict[str, tuple[tuple[int, ...], tuple[str, ...]]]) -> None:
    off = tuple(Ablation(layer, *each) for layer, each in parts.items())
    assert decode_ablations(encode_ablations(off)) == off


@pytest.mark.parametrize("text", ["layer1", "~x", "a~", "a!", "a!1,b", "a!-1", "a!1;b", "a!9999999", "a!²"])
def test_what_names_no_part_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no layer with a branch or channels"):
        decode_ablations(text)
