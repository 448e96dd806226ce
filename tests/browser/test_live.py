"""A notebook beside a package `models` of its own opens a module of its own, and a browser looks at it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.test_workbench import metric
from tests.support.places import ROOT

NETWORK = '''
from torch import nn
from torch.nn import functional as F


class Mine(nn.Module):
    """A functional ReLU, and a layer that is used twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for _ in range(2):
            x = F.relu(self.again(x))
        return self.head(x.mean((2, 3)))
'''
CELLS = {
    "open": """
import explorer, torch, models
from models.mine import Mine

torch.manual_seed(0)
network = Mine().train()
page = explorer.open(network, torch.rand(3, 90, 90), ["ant", "bee", "cat", "dog"], input_size=(3, 64, 64))
page
""",
    "url": "print(page.url)",
    "train": """
with torch.no_grad():
    network.head.bias[3] = 100
""",
    "unchanged": """
import pickle, sys

class Local: pass

pickle.dumps(Local())
print(network.training, models.OWNER, sys.modules["models"] is models, [p.grad for p in network.parameters()][0])
""",
    "another": """
assert explorer.open(torch.nn.Conv2d(1, 2, 3), input_size=(1, 32, 32)).url == page.url
""",
    "close": "explorer.close()",
}


class Notebook:
    """Cells that are run one by one in a kernel that goes on between them."""

    def __init__(self, client: NotebookClient) -> None:
        self.client = client

    def run(self, name: str) -> str:
        """Run one of CELLS; returns what it prints and shows."""
        cell = nbformat.v4.new_code_cell(CELLS[name])
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        texts = (out.get("text") or out.get("data", {}).get("text/html", "") for out in cell.outputs)
        return "".join(texts).strip()


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text('OWNER = "the person"\n', encoding="utf-8")
    (folder / "models" / "mine.py").write_text(NETWORK, encoding="utf-8")
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=100, resources={"metadata": {"path": str(folder)}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(ROOT))))
        with client.setup_kernel():
            yield Notebook(client)


def opened(page: Page, url: str, **link: str) -> None:
    """A view of the module; the link of a page that is open needs no token any more."""
    page.goto(url.partition("?")[0] + "?" + "&".join(f"{n}={v}" for n, v in {"preset": "live:Mine", **link}.items()))
    wait_until_idle(page)


def test_a_notebook_opens_its_own_module_live(notebook: Notebook, page: Page) -> None:
    shown = notebook.run("open")
    url = notebook.run("url")
    assert f'<a href="{url}"' in shown
    with pytest.raises(HTTPError, match="403"):
        urlopen(url.partition("?")[0], timeout=10)

    page.goto(url)
    wait_until_idle(page)
    assert "token" not in page.url
    expect(page.get_by_role("heading", level=1)).to_have_text("live · Mine")
    assert metric(page, "Parameters") == f"{3 * 8 * 9 + 8 + 8 * 8 * 9 + 8 + 8 * 4 + 4}"
    assert metric(page, "Receptive field") == "11 px", "3, and twice 2 more at every second pixel"
    for name in ("stem", "again", "head"):
        expect(page.locator(f"svg.canvas .box[aria-label*='{name}']").first).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text("picture 1 · 90 × 90 px")).to_be_visible()

    opened(page, url, panel="field", layer="again%232")
    expect(page.get_by_text(re.compile("11 × 11|11 px")).first).to_be_visible()
    opened(page, url, view="maps", layer="again%232")
    expect(page.get_by_test_id("stMetricValue").first).to_have_text("8")
    opened(page, url, view="occlusion", window="32", stride="32")
    expect(page.get_by_text("4 positions")).to_be_visible()
    expect(page.locator(".stage")).to_have_count(2)

    notebook.run("train")
    page.reload()
    wait_until_idle(page)
    expect(page.get_by_text("Probability of dog")).to_be_visible()
    assert notebook.run("unchanged") == "True the person True None"


def test_another_call_takes_the_place_of_the_first_and_close_ends_the_page(notebook: Notebook, page: Page) -> None:
    url = notebook.run("url")
    notebook.run("another")
    page.goto(url)
    wait_until_idle(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("live · Conv2d")
    page.goto("about:blank")
    notebook.run("close")
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=10)
