"""What figures need to know of the page's theme; colours for the colour-blind (Okabe and Ito, cividis)."""

from __future__ import annotations

import streamlit as st

# Streamlit leaves a third of a small screen to margins; the graph and the panel beside it need it. The switch of views
# stands beside the title, not below it, without its icons where there is no room for them. On a phone the figures stay
# in sight below the header while a knob is turned, and buttons do not name keys that it does not have. On a larger
# screen the graph stays beside a panel that is longer than the window. A long list of uploaded files scrolls.
_FITTED = """<style>
[data-testid="stMainBlockContainer"] {{ padding: 4.1rem 2rem 2rem; }}
.st-key-widget-view button {{ padding-inline: 0.5rem; }}
:has(> [data-testid="stFileUploaderFile"]) {{ max-height: 9.5rem; overflow-y: auto; }}
@media (min-width: 641px) {{
  [data-testid="stColumn"]:has(> div > [data-testid="stLayoutWrapper"] > [class*="st-key-beside"]) {{
    position: sticky; top: 4.1rem; align-self: flex-start;
  }}
}}
@media (min-width: 641px) and (max-width: 1700px) {{
  .st-key-widget-view span:has(> [data-testid="stIconMaterial"]) {{ display: none; }}
}}
@media (max-width: 640px) {{
  [data-testid="stMainBlockContainer"] {{ padding: 4.1rem 1rem 2rem; }}
  [data-testid="stMain"] kbd {{ display: none; }}
  [data-testid="stLayoutWrapper"]:has(> [class*="st-key-figures"]) {{
    position: sticky; top: 3.75rem; z-index: 9; background: {background};
  }}
  [class*="st-key-figures"] [data-testid="stHorizontalBlock"] {{ gap: 1.1rem; }}
}}
</style>"""


def fit_window() -> None:
    """Use the whole width of the window, and a phone's height."""
    mode = "dark" if is_dark() else "light"
    st.html(_FITTED.format(background=st.get_option(f"theme.{mode}.backgroundColor")))


def is_dark() -> bool:
    """Whether the page is shown in the dark theme."""
    return st.context.theme.type == "dark"
