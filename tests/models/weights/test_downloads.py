"""Downloads of weights, from a server of the tests' own: in the library, on the command line and on the page."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save, save_file
from torch import Tensor

import models
from explorer.cli import main
from explorer.errors import Cancelled
from explorer.run.device import format_bytes
from explorer.ui import weights as app_weights
from models.weights import download
from models.weights.sources import WeightsSource, available, load
from tests.support.checkpoints import copy_of, pth, refusal, same, tiny, trained
from tests.support.page import errors, open_app
from tests.support.places import ROOT


@dataclass
class Server:
    """Answers with `body`, and breaks off after `cut` bytes, or after `stall` of them waits for the release."""

    address: str = ""
    body: bytes = b""
    status: int = 200
    cut: int | None = None
    stall: int | None = None
    requests: int = 0
    stalled: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        handler.send_response(self.status)
        handler.send_header("Content-Length", str(len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body[: self.cut if self.stall is None else self.stall])
        if self.stall is not None:
            self.stalled.set()
            self.release.wait(60)
            with contextlib.suppress(OSError):  # nobody reads any more where the download was given up
                handler.wfile.write(self.body[self.stall :])
        self.answered.set()

    def source(self, sha256: str | None = None) -> WeightsSource:
        url = f"{self.address}/tiny-{sha256 or hashlib.sha256(self.body).hexdigest()[:8]}.pth"
        plain = available("resnet_mini")[-1]
        return replace(plain, kind="imagenet", name="IMAGENET1K_V1", url=url, path=download.cached(url))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("CNN_EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server(body=pth(trained(), tmp_path))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    state.release.set()
    listener.shutdown()
    listener.server_close()
    thread.join()


def cache_files() -> list[str]:
    folder = download.cache_dir()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def put_into_cache(source: WeightsSource, content: bytes) -> Path:
    assert source.path is not None
    path = source.path.with_suffix(".pth")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_checkpoint_goes_all_the_way_round_once(server: Server, tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18().eval()
    server.body = pth(theirs.state_dict(), tmp_path)
    url = f"{server.address}/resnet18-{hashlib.sha256(server.body).hexdigest()[:8]}.pth"
    source = replace(available("resnet18")[-1], url=url, path=download.cached(url))
    seen: list[tuple[int, int]] = []
    assert source.needs_download

    for _ in range(2):
        ours = models.build("resnet18", seed=1)
        load(ours, source, progress=lambda done, total: seen.append((done, total)))
        image = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            assert torch.equal(ours(image), theirs(image))
    assert server.requests == 1
    assert not source.needs_download
    assert seen[-1] == (len(server.body), len(server.body))
    assert seen == sorted(seen)
    assert source.path is not None
    assert cache_files() == [source.path.name]


def failures(server: Server) -> dict[str, tuple[WeightsSource, str]]:
    """Sources that fail to download, and why; each sets the server up when it is asked for."""
    return {
        "hash": (server.source("0" * 8), "its SHA-256 starts with"),
        "cut": (server.source(), f"the connection ended after 1,000 of {len(server.body):,} bytes"),
        "status": (server.source(), "the server answered 404 Not Found"),
        "no server": (replace(server.source(), url="http://127.0.0.1:9/tiny-12345678.pth"), "Connection refused"),
        "no name": (replace(server.source(), url="http://nowhere.invalid/tiny-12345678.pth"), "nowhere.invalid: "),
    }


@pytest.mark.parametrize("case", ["hash", "cut", "status", "no server", "no name"])
def test_a_failed_download_says_what_to_do_and_leaves_nothing(case: str, server: Server) -> None:
    source, why = failures(server)[case]
    server.cut, server.status = (1000 if case == "cut" else None), (404 if case == "status" else 200)
    message = refusal(source)
    assert source.url is not None
    name = source.url.rsplit("/", 1)[-1]
    assert message.startswith(f"{name} could not be downloaded from {source.url.split('/')[2]}: ")
    assert why in message
    assert message.endswith(f"; put the file at {download.cache_dir() / name} or choose other weights.")
    assert cache_files() == []


@pytest.mark.parametrize("stall", [0, 1000])
def test_a_cancel_does_not_wait_for_a_stalled_download(stall: int, server: Server) -> None:
    server.stall = stall
    module, answers = tiny(), list[bool]()
    before = copy_of(module)

    def cancel() -> bool:
        answers.append(server.stalled.is_set())
        return answers[-1]

    with pytest.raises(Cancelled):
        load(module, server.source(), cancel=cancel)
    assert answers.count(True) == 1
    assert not server.answered.is_set()
    assert cache_files() == []
    assert same(before, module.state_dict())


def test_what_a_killed_download_left_is_never_used_and_goes_with_the_next(server: Server) -> None:
    """A process is killed in the middle of the transfer, and its draft is found."""
    server.stall, source = 1000, server.source()
    code = f"from models.weights.download import fetch; fetch({source.url!r}, lambda *_: None, lambda: False)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as child:
        assert server.stalled.wait(60)
        child.kill()
    assert cache_files()
    assert source.needs_download
    server.stall = None
    server.release.set()
    module = tiny()
    load(module, source)
    assert same(module.state_dict(), trained())
    assert source.path is not None
    assert cache_files() == [source.path.name]


def test_a_cancel_ends_the_conversion(server: Server) -> None:
    source = server.source()
    by_hand = put_into_cache(source, server.body)
    with pytest.raises(Cancelled):
        load(tiny(), source, cancel=lambda: True)
    assert cache_files() == [by_hand.name]


def test_a_cache_that_cannot_be_written_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNN_EXPLORER_CACHE", str(tmp_path / "file"))
    message = refusal(server.source())
    assert f"{tmp_path / 'file'} cannot be written" in message
    assert "CNN_EXPLORER_CACHE" in message


def test_a_checkpoint_put_into_the_cache_is_used(server: Server) -> None:
    source = server.source()
    put_into_cache(source, server.body[:-1] + b"x")
    assert "is not the published file: its SHA-256" in refusal(source)
    by_hand = put_into_cache(source, server.body)
    assert not source.needs_download
    module = tiny()
    load(module, source)
    assert same(module.state_dict(), trained())
    assert server.requests == 0
    assert cache_files() == sorted([by_hand.name, by_hand.with_suffix(".safetensors").name])


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole + b"x"], ids=["cut", "too long"])
def test_a_damaged_file_in_the_cache_is_fetched_again(damage: Callable[[bytes], bytes], server: Server) -> None:
    source, module = server.source(), tiny()
    assert source.path is not None
    source.path.parent.mkdir()
    source.path.write_bytes(damage(save(trained())))
    assert source.needs_download
    load(module, source)
    assert not source.needs_download
    assert same(module.state_dict(), trained())


def test_a_cached_file_of_other_tensors_is_named_with_the_cure(server: Server) -> None:
    source = server.source()
    assert source.path is not None
    source.path.parent.mkdir()
    save_file({**trained(), "0.bias": torch.ones(5)}, source.path)
    assert refusal(source).endswith(
        f"0.bias is 5 in the file and 4 in the network; if no knob was changed, delete {source.path}, "
        "and it is fetched again."
    )


# The command line and the page


@pytest.fixture
def published(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Tensor]]:
    """Weights of the compact ResNet, which has them on the server in place of those that it ships with."""
    state = models.build("resnet_mini", seed=5).state_dict()
    server.body = pth(state, tmp_path)
    found = [available("resnet_mini")[-1], server.source()]
    monkeypatch.setattr("models.weights.sources.available", lambda preset: found)
    app_weights.offered.clear()  # pyright: ignore[reportFunctionMemberAccess] (they name the cache)
    yield state
    app_weights.offered.clear()  # pyright: ignore[reportFunctionMemberAccess]


def features(folder: Path) -> tuple[str, ...]:
    out = str(folder / "maps.png")
    return "features", "resnet_mini", "cat", "--weights", "IMAGENET1K_V1", "--layer", "conv1", "--out", out


@pytest.mark.parametrize("terminal", [True, False])
def test_the_command_line_tells_how_far_a_download_is(
    terminal: bool, server: Server, published: dict[str, Tensor], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert main.main(features(tmp_path)) == 0
    told, size = capsys.readouterr().err, format_bytes(len(server.body))
    told = told.partition("prepared: ")[0]
    assert told.endswith(f"downloading the weights: {size} of {size}\n")
    assert told.count("\n") == 1 if terminal else 1 <= told.count("\n") <= 5 and "\r" not in told
    maps = np.load(tmp_path / "maps.npy")
    assert server.requests == 1
    assert maps.shape[0] == len(published["conv1.weight"])

    assert main.main(features(tmp_path)) == 0
    assert server.requests == 1
    assert "downloading" not in capsys.readouterr().err
    assert np.array_equal(maps, np.load(tmp_path / "maps.npy"))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_download_that_fails_on_the_command_line_is_a_line_of_its_own(
    terminal: bool, server: Server, published: dict[str, Tensor], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server.cut = 1000
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert main.main(features(tmp_path)) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: tiny-")
    assert "the connection ended after 1,000 of" in last
    assert not (tmp_path / "maps.png").exists()


def test_the_page_shows_a_download_and_then_runs_the_network(server: Server, published: dict[str, Tensor]) -> None:
    server.stall = 1000
    app = open_app(preset="resnet_mini", view="maps", layer="conv1", weights="IMAGENET1K_V1")
    assert any("not here yet" in error for error in errors(app))
    app.button(key="download").click().run()
    job = app.session_state["jobs"][app_weights.DOWNLOAD]
    assert server.stalled.wait(20)
    assert not job.finished
    app.run()
    (progress,) = app.sidebar.get("progress")
    assert progress.proto.text.startswith("Downloading · ")  # type: ignore[union-attr]
    server.release.set()
    assert job.wait(30)
    assert job.error is None
    assert job.done == job.total == len(server.body)
    app.run()
    assert not errors(app)
    assert not [button for button in app.button if button.key == "download"]


# The conversion


class Exploit:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_pickle_with_code_is_refused_and_not_run(server: Server, tmp_path: Path) -> None:
    server.body = pth({"0.weight": Exploit(f"touch {tmp_path / 'ran'}")}, tmp_path)  # type: ignore[dict-item]
    message = refusal(server.source())
    assert message.startswith("The checkpoint could not be converted: ")
    assert "beside tensors, which may run code" in message
    assert not (tmp_path / "ran").exists()
    assert cache_files() == []
