"""Downloads of weights, from a server of the tests' own, and the conversion of what they bring."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save, save_file
from torch import nn

import models
from models import download
from models.convert_checkpoint import convert, main
from models.errors import Cancelled, WeightsError
from models.weights import WeightsSource, load, sources
from tests.checkpoints import copy_of, pth, refusal, same, tiny, trained, upload


@dataclass
class Server:
    """Answers with `body`, and breaks off after `cut` bytes or stalls after `stall` of them."""

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
        self.answered.set()

    def source(self, sha256: str | None = None) -> WeightsSource:
        url = f"{self.address}/tiny-{sha256 or hashlib.sha256(self.body).hexdigest()[:8]}.pth"
        plain = sources("resnet_mini")[-1]
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
    return sorted(os.listdir(folder)) if folder.exists() else []


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
    source = replace(sources("resnet18")[-1], url=url, path=download.cached(url))
    seen: list[tuple[int, int]] = []
    assert source.needs_download

    for _ in range(2):
        ours = models.build("resnet18", seed=1)
        load(ours, source, progress=lambda done, total: seen.append((done, total)))
        image = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            assert torch.equal(ours(image), theirs(image))
    assert server.requests == 1 and not source.needs_download
    assert seen[-1] == (len(server.body), len(server.body)) and seen == sorted(seen)
    assert source.path is not None and cache_files() == [source.path.name]


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
    assert answers.count(True) == 1 and not server.answered.is_set()
    assert cache_files() == [] and same(before, module.state_dict())


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
    assert f"{tmp_path / 'file'} cannot be written" in message and "CNN_EXPLORER_CACHE" in message


def test_a_checkpoint_put_into_the_cache_is_used(server: Server) -> None:
    source = server.source()
    put_into_cache(source, server.body[:-1] + b"x")
    assert "is not the published file: its SHA-256" in refusal(source)
    by_hand = put_into_cache(source, server.body)
    assert not source.needs_download
    module = tiny()
    load(module, source)
    assert same(module.state_dict(), trained()) and server.requests == 0
    assert cache_files() == sorted([by_hand.name, by_hand.with_suffix(".safetensors").name])


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole + b"x"], ids=["cut", "too long"])
def test_a_damaged_file_in_the_cache_is_fetched_again(damage: Callable[[bytes], bytes], server: Server) -> None:
    source, module = server.source(), tiny()
    assert source.path is not None
    source.path.parent.mkdir()
    source.path.write_bytes(damage(save(trained())))
    assert source.needs_download
    load(module, source)
    assert not source.needs_download and same(module.state_dict(), trained())


def test_a_cached_file_of_other_tensors_is_named_with_the_cure(server: Server) -> None:
    source = server.source()
    assert source.path is not None
    source.path.parent.mkdir()
    save_file({**trained(), "0.bias": torch.ones(5)}, source.path)
    assert refusal(source).endswith(
        f"0.bias is 5 in the file and 4 in the network; if no knob was changed, delete {source.path}, "
        "and it is fetched again."
    )


# The conversion


class Exploit:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_pickle_with_code_is_refused_and_not_run(server: Server, tmp_path: Path) -> None:
    server.body = pth({"0.weight": Exploit(f"touch {tmp_path / 'ran'}")}, tmp_path)  # type: ignore[dict-item]
    message = refusal(server.source())
    assert message.startswith("The checkpoint could not be converted: ") and "more than tensors" in message
    assert not (tmp_path / "ran").exists() and cache_files() == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no pickle at all", "is refused"),
        (None, "cannot be read: [Errno 2] No such file"),
        ([torch.ones(2)], "is not a state dict"),
        ({"epoch": 3}, "is not a state dict"),
        ({"a": torch.ones(2), "b": torch.eye(2).to_sparse()}, "'b' is sparse, quantized or without values"),
        ({"a": torch.ones(2, device="meta")}, "'a' is sparse, quantized or without values"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: Any, sentence: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.pth", tmp_path / "out.safetensors"
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        torch.save(content, source)
    with pytest.raises(WeightsError) as caught:
        convert(str(source), str(target))
    assert str(caught.value).startswith(str(source)) and sentence in str(caught.value)
    assert not target.exists()


def test_tensors_that_share_memory_are_converted(tmp_path: Path) -> None:
    tied = torch.arange(6.0).view(2, 3)
    torch.save({"a": tied, "b": nn.Parameter(tied), "c": tied.T}, tmp_path / "in.pth")
    convert(str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors"))
    content = (tmp_path / "out.safetensors").read_bytes()
    module = nn.ParameterDict({"a": torch.zeros(2, 3), "b": torch.zeros(2, 3), "c": torch.zeros(3, 2)})
    load(module, upload(content)())
    assert same(module.state_dict(), {"a": tied, "b": tied, "c": tied.T})


def test_the_converters_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["only_one.pth"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("usage: python -m models.convert_checkpoint") and complaint.count("\n") == 1
