"""The page as a test opens and reads it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.support.places import APP


def open_app(**link: str) -> AppTest:
    """The page that a link opens; knobs are written with two underscores in place of `k.`."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in link.items():
        app.query_params[name.replace("k__", "k.")] = text
    return app.run()


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def errors(app: AppTest) -> list[str]:
    assert not app.exception
    return [element.value for element in app.error]


def link(app: AppTest) -> dict[str, str]:
    return {name: text[0] if isinstance(text, list) else text for name, text in app.query_params.items()}
