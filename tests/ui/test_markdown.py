"""Text from outside is shown as it is: what Markdown would make of it is taken away, and nothing else."""

from __future__ import annotations

import pytest

from explorer.ui.markdown import JOINER, markdown_safe

HOSTILE = [
    ("![x](//evil.example/p.png)", r"!\[x\](//evil.example/p.png)"),
    ("[x](https://evil.example)", rf"\[x\](https:{JOINER}//evil.example)"),
    ("see https://evil.example", f"see https:{JOINER}//evil.example"),
    ("www.evil.example", f"www.{JOINER}evil.example"),
    ("a@evil.example", f"a@{JOINER}evil.example"),
    ("<img src=x>", r"\<img src=x\>"),
    (":material/bug_report: :smile: :red[x]", rf":{JOINER}material/bug_report: :{JOINER}smile: :{JOINER}red\[x\]"),
    ("$x$ `code` **bold** ~~gone~~", r"\$x\$ \`code\` \*\*bold\*\* \~\~gone\~\~"),
    ("_stressed_ but not vit_ti_16", r"\_stressed\_ but not vit_ti_16"),
    (r"\*", r"\\\*"),
    ("&lt;", r"\&lt;"),
    ("# heading", f"{JOINER}#{JOINER} heading"),
    ("1. list", f"{JOINER}1{JOINER}. list"),
    ("- list", f"{JOINER}-{JOINER} list"),
    ("    code\n\n# heading", "code # heading"),
]


@pytest.mark.parametrize(("text", "safe"), HOSTILE)
def test_marks_of_markdown_are_taken_away(text: str, safe: str) -> None:
    assert markdown_safe(text) == safe


@pytest.mark.parametrize("text", ["cat.png is cut short: 3 of 4 rows.", "image_size=16 (features.4)", "Grüße, 1 × 2!"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert markdown_safe(text) == text
