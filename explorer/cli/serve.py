"""Serves the app on this machine, as `streamlit run app.py` does in a checkout."""

from __future__ import annotations

import runpy
import sys

from explorer.resources import app_script


def serve_command(port: int | None) -> int:
    """Serve until Ctrl-C; a port that is taken makes Streamlit say so.

    Streamlit runs in this process, which leaves nothing behind when it ends, and without the current folder on the path
    of imports, where `python -m streamlit` would put it: a person may have a package `models` there.
    """
    options = [] if port is None else ["--server.port", str(port)]
    sys.argv = ["streamlit", "run", str(app_script()), *options]
    runpy.run_module("streamlit", run_name="__main__")
    return 0
