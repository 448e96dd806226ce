"""How the signal goes back, as a person chooses it: the method, and another rule for a kind of layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import streamlit as st

from explorer.analysis.deconvnet_rules import (
    CHOICES,
    MEANINGS,
    BackwardMethod,
    BackwardRule,
    BackwardSettings,
    RuleRow,
    rule_table,
)
from explorer.errors import UserError
from explorer.networks.knob_text import shorten
from explorer.ui import state
from explorer.ui.session import Session
from explorer.ui.settings import Setting

METHODS: dict[BackwardMethod, str] = {
    "deconvnet": "Deconvnet", "guided": "Guided backprop", "gradient": "Gradient",
}  # fmt: skip
_HELP = (
    "Deconvnet (Zeiler and Fergus 2014): rectify the signal itself. Guided backpropagation (Springenberg et al. 2015): "
    "rectify it, and keep it only where the layer let the picture through. Gradient: nothing is rectified."
)


def decode_rules(text: str) -> dict[str, BackwardRule]:
    """The rules of a link, "silu:pass,mul:gradient". Raises UserError with half a sentence."""
    found: dict[str, BackwardRule] = {}
    for part in filter(None, text.split(",")):
        kind, _, rule = part.partition(":")
        choices: dict[str, BackwardRule] = {each: each for each in CHOICES.get(kind, ())}
        if rule not in choices:
            raise UserError(f"has a part that is no kind of layer with one of its rules: {shorten(part)}")
        found[kind] = choices[rule]
    return found


def encode_rules(rules: Mapping[str, BackwardRule]) -> str:
    """Rules by kind as a link says them."""
    return ",".join(f"{kind}:{rule}" for kind, rule in rules.items())


SETTINGS = (
    Setting("back", "deconvnet", choices=get_args(BackwardMethod)),
    Setting("back_rules", "", instead="the method's own table", check=decode_rules),
)


def chosen() -> BackwardSettings:
    """The method and the changed rules of the state."""
    return BackwardSettings(state.get("back"), decode_rules(state.get("back_rules")))


def method() -> None:
    """A choice of the method; another one has its own rules."""
    state.keep(st.selectbox, "back", "Method", state.get("back"), _choose_method, options=list(METHODS),
               format_func=METHODS.__getitem__, help=_HELP, width=180)  # fmt: skip


def _choose_method(name: str) -> None:
    state.put("back", name)
    state.put("back_rules", "")


def table(session: Session) -> None:
    """A choice for each kind of layer at which the methods differ, or which the paper does not have."""
    rows = rule_table(session.analysis.graph, chosen())
    if not rows:
        return
    changed = sum(row.kind in decode_rules(state.get("back_rules")) for row in rows)
    with st.popover(f"Rules{f' · {changed} changed' * bool(changed)}", icon=":material/rule:", key="back rules"):
        for row in rows:
            _choice(row)
        st.caption("All other layers send the signal back by their derivative: a convolution filters with the "
                   "transposed kernels, a max pool unpools with its switches.")  # fmt: skip


def _choice(row: RuleRow) -> None:
    kind = row.kind.replace("_", " ")
    state.keep(
        st.selectbox, f"back rule {row.kind}", f"{kind} · {row.layers} layer{'s' * (row.layers > 1)}", row.rule,
        lambda rule: _choose_rule(row.kind, rule), options=list(row.choices), format_func=str.capitalize,
        help="  \n".join(f"**{rule.capitalize()}**: {MEANINGS[rule]}." for rule in row.choices),
    )  # fmt: skip


def _choose_rule(kind: str, rule: BackwardRule) -> None:
    """Change one rule; one that the method has anyway is not a change."""
    rules: dict[str, BackwardRule] = {**decode_rules(state.get("back_rules")), kind: rule}
    if rule == BackwardSettings(state.get("back")).rule_of(kind):
        del rules[kind]
    state.put("back_rules", encode_rules(rules))
