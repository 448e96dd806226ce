"""Weights: every source loads strictly or says in one sentence why not, and a failed load changes nothing."""

from __future__ import annotations

import hashlib
import json
import math
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
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import Tensor, nn

import models
from models import download, safetensors_file, weights
from models.convert_checkpoint import convert, main
from models.errors import Cancelled, WeightsError
from models.weights import WeightsSource, file_source, load, sources

TORCHVISION = [name for name in models.presets() if models.preset(name).torchvision]


def tiny() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def trained() -> dict[str, Tensor]:
    """The state dict of `tiny` with other values than a fresh one has."""
    torch.manual_seed(1)
    return {
        key: torch.rand_like(value) if value.is_floating_point() else torch.tensor(7)
        for key, value in tiny().state_dict().items()
    }


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def refusal(source: Callable[[], WeightsSource] | WeightsSource, **options: Any) -> str:
    """The sentence with which loading `source` into a tiny network fails, which leaves it as it was."""
    module = tiny()
    before = copy_of(module)
    with pytest.raises(WeightsError) as caught:
        load(module, source if isinstance(source, WeightsSource) else source(), **options)
    assert same(before, module.state_dict())
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def upload(content: bytes, name: str = "mine.safetensors") -> Callable[[], WeightsSource]:
    return lambda: file_source(name, content, "resnet_mini")


# Sources


@pytest.mark.parametrize("name", TORCHVISION)
def test_presets_of_torchvision_offer_its_classifiers(name: str) -> None:
    builder = models.preset(name).torchvision
    assert builder is not None
    entries = {entry.name: entry for entry in torchvision.models.get_model_weights(builder)}
    offered = {source.name: source for source in sources(name) if source.kind == "imagenet"}
    assert set(entries) - set(offered) <= {"IMAGENET1K_FEATURES"}
    for key, source in offered.items():
        transform = entries[key].transforms()
        assert source.url == entries[key].url
        assert source.classes == tuple(entries[key].meta["categories"])
        assert source.preprocessing.resize_px == transform.resize_size[0]
        assert source.preprocessing.crop_px == transform.crop_size[0]
        if name not in ("googlenet", "inception_v3"):  # torchvision re-centres their pixels inside the network
            assert list(source.preprocessing.mean + source.preprocessing.std) == [*transform.mean, *transform.std]


def test_vgg16_offers_no_backbone_without_a_classifier() -> None:
    assert [source.name for source in sources("vgg16")] == ["random", "IMAGENET1K_V1"]


def test_googlenet_gets_the_pixels_that_torchvision_makes_inside() -> None:
    theirs = torchvision.models.googlenet(init_weights=False, transform_input=True).eval()
    ours = models.build("googlenet")
    ours.load_state_dict(theirs.state_dict())
    chosen = sources("googlenet")[-1].preprocessing
    image = torch.rand(1, 3, 64, 64)

    def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    with torch.inference_mode():
        expected = theirs(normalised(weights.IMAGENET_MEAN, weights.IMAGENET_STD))
        torch.testing.assert_close(ours(normalised(chosen.mean, chosen.std)), expected, rtol=1e-4, atol=1e-4)


def test_random_leaves_the_seeded_weights() -> None:
    module = models.build("resnet_mini", seed=3)
    load(module, next(source for source in sources("resnet_mini") if source.kind == "random"))
    assert same(module.state_dict(), models.build("resnet_mini", seed=3).state_dict())


def test_gray_networks_are_normalised_with_one_mean() -> None:
    assert len(sources("lenet5")[-1].preprocessing.mean) == models.spec("lenet5").in_channels


def test_shipped_weights_come_first_and_bring_classes_and_preprocessing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    state = models.build("resnet_mini", seed=5).state_dict()
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    header = {"classes": ["cat", "car"], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "image_size": 64}
    save_file(halves, tmp_path / "resnet_mini.safetensors", {key: json.dumps(value) for key, value in header.items()})
    (tmp_path / "metrics.json").write_text(json.dumps({"resnet_mini": {"accuracy": 0.964, "epochs": 9}}))

    first = sources("resnet_mini")[0]
    assert (first.kind, first.classes, first.needs_download) == ("shipped", ("cat", "car"), False)
    assert first.preprocessing == weights.Preprocessing(64, 64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert "96.4%" in first.note and "9 epochs" in first.note
    module = models.build("resnet_mini")
    load(module, first)
    assert same(module.state_dict(), {key: value.to(state[key].dtype) for key, value in halves.items()})


# A person's file


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_file_loads_from_bytes_and_from_disk(dtype: torch.dtype, on_disk: bool, tmp_path: Path) -> None:
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in trained().items()}
    path = tmp_path / "mine.safetensors"
    save_file(state, path)
    module = tiny()
    load(module, file_source("mine", path if on_disk else path.read_bytes(), "resnet_mini"))
    assert same(module.state_dict(), {key: value.to(trained()[key].dtype) for key, value in state.items()})


def test_a_checkpoint_without_batch_counters_loads() -> None:
    state = {key: value for key, value in trained().items() if not key.endswith("num_batches_tracked")}
    module = tiny()
    load(module, upload(save(state))())
    assert torch.equal(module.state_dict()["1.running_var"], state["1.running_var"])


@pytest.mark.parametrize(
    ("header", "classes", "mean"),
    [
        ({"classes": '["a", "b"]', "mean": "[0.5, 0.5, 0.5]", "std": "[1, 1, 1]"}, ("a", "b"), (0.5, 0.5, 0.5)),
        ({"classes": "5", "mean": "[0.5, 0.5]", "std": "[1, 1]"}, None, weights.IMAGENET_MEAN),
        ({"classes": "[1, 2]", "mean": "[NaN, 0, 0]", "std": "[1, 1, 1]"}, None, weights.IMAGENET_MEAN),
        ({"classes": "[]", "mean": f"[1{'0' * 400}, 0, 0]", "std": "[1, 1, 1]"}, None, weights.IMAGENET_MEAN),
        ({"classes": "[" * 100_000, "mean": "[1, 1, 1]", "std": "[0, 1, 1]"}, None, weights.IMAGENET_MEAN),
        ({"classes": '{"0": "a"}', "mean": "null", "image_size": "true"}, None, weights.IMAGENET_MEAN),
    ],
)
def test_the_header_describes_classes_and_normalisation(
    header: dict[str, str], classes: tuple[str, ...] | None, mean: tuple[float, ...]
) -> None:
    source = upload(save(trained(), header))()
    assert (source.classes, source.preprocessing.mean, source.preprocessing.crop_px) == (classes, mean, 64)


OTHER_NETWORKS = {
    "shape": ({"0.weight": torch.ones(4, 3, 5, 5)}, "0.weight is 4×3×5×5 in the file and 4×3×3×3 in the network."),
    "rank": ({"0.bias": torch.tensor(1.0)}, "0.bias is a single value in the file and 4 in the network."),
    "unexpected": ({"4.bias": torch.ones(9)}, "4.bias (9) is in the file and not in the network."),
    "two": ({"x": torch.ones(1), "0.bias": torch.ones(5)}, "4 in the network; 1 more tensor differs."),
    "integer": ({"0.bias": torch.ones(4, dtype=torch.int8)}, "0.bias is of type I8 in the file"),
    "float counter": ({"1.num_batches_tracked": torch.tensor(1.0)}, "1.num_batches_tracked is of type F32"),
    "nan": ({"0.bias": torch.tensor([1.0, math.nan, 1, math.inf])}, "0.bias has 2 of 4 values that are NaN"),
    "overflow": ({"0.bias": torch.full((4,), 1e300, dtype=torch.float64)}, "0.bias has 4 of 4 values that are NaN"),
    "long name": ({"y" * 9000: torch.ones(1)}, "yyy… (1) is in the file and not in the network."),
    "strange name": ({"a\nb": torch.ones(1)}, r"'a\nb' (1) is in the file and not in the network."),
}


@pytest.mark.parametrize("case", OTHER_NETWORKS)
def test_another_networks_weights_are_refused_with_the_first_difference(case: str) -> None:
    changes, sentence = OTHER_NETWORKS[case]
    message = refusal(upload(save(trained() | changes)))
    assert message.startswith("mine.safetensors") and sentence in message


def test_a_missing_tensor_is_named() -> None:
    state = {key: value for key, value in trained().items() if not key.startswith("3.")}
    assert "3.weight (2×16) is in the network and not in the file; 1 more" in refusal(upload(save(state)))


def framed(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def entries(*ranges: tuple[int, int]) -> bytes:
    """A header of float vectors that lie at these byte ranges."""
    return json.dumps(
        {f"t{i}": {"dtype": "F32", "shape": [(b - a) // 4], "data_offsets": [a, b]} for i, (a, b) in enumerate(ranges)}
    ).encode()


WHOLE = save(trained())
DAMAGED = {
    "empty": (b"", "not a safetensors file"),
    "seven bytes": (b"1234567", "not a safetensors file"),
    "a zip": (b"PK\x03\x04" + bytes(100), "python -m models.convert_checkpoint"),
    "huge header": ((2**63).to_bytes(8, "little") + b"{}", "not a safetensors file"),
    "cut in the header": (WHOLE[:100], "is cut short: its header alone has"),
    "cut in the data": (WHOLE[:-1], f"is cut short: it has {len(WHOLE) - 1:,} of {len(WHOLE):,} bytes."),
    "bytes too many": (WHOLE + b"\0", "is damaged"),
    "no JSON": (framed(b"{'a': 1}"), "its header is not valid JSON"),
    "no UTF-8": (framed(b'{"\xff": 1}'), "its header is not valid JSON"),
    "a list": (framed(b"[1, 2, 3]"), "its header is not a JSON object"),
    "nested deeply": (framed(b"[" * 1_000_000), "its header is not valid JSON"),
    "a long number": (framed(b'{"a": 1' + b"0" * 5000 + b"}"), "its header is not valid JSON"),
    "overlap": (framed(entries((0, 8), (4, 12)), bytes(12)), "is damaged"),
    "a gap": (framed(entries((0, 4), (8, 12)), bytes(12)), "is damaged"),
    "backwards": (framed(entries((0, 4), (12, 4)), bytes(12)), "is damaged"),
    "beyond 64 bits": (framed(entries((0, 4), (4, 2**70)), bytes(12)), "is cut short"),
    "no tensors": (framed(b"{}"), "is in the network and not in the file; 7 more tensors differ"),
    "odd entries": (framed(b'{"a": 1, "__metadata__": 3}'), "is damaged"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(case: str) -> None:
    content, sentence = DAMAGED[case]
    message = refusal(upload(content))
    assert message.startswith("mine.safetensors") and sentence in message


def test_too_large_a_file_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_file, "MAX_FILE_BYTES", 1000)
    assert f"has {len(WHOLE):,} bytes; at most 1,000 are read" in refusal(upload(WHOLE))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    assert "mine cannot be read: No such file" in refusal(lambda: file_source("mine", path, "resnet_mini"))
    path.write_bytes(WHOLE)
    source = file_source("mine", path, "resnet_mini")
    path.unlink()
    assert "mine cannot be read: No such file" in refusal(source)


@pytest.mark.fuzz
@given(
    cut=st.none() | st.integers(0, len(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1) | st.integers(0, 700), st.integers(0, 255)), max_size=4),
)
def test_any_damage_is_an_error_of_ours_or_loads(cut: int | None, changes: list[tuple[int, int]]) -> None:
    content = bytearray(WHOLE)
    for place, value in changes:
        content[place] = value
    module = tiny()
    before = copy_of(module)
    try:
        load(module, upload(bytes(content[:cut]))())
    except WeightsError:
        assert same(before, module.state_dict())
    else:
        assert cut in (None, len(WHOLE))
        assert not same(before, module.state_dict())


# The download


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


def pth(state: dict[str, Tensor], folder: Path) -> bytes:
    torch.save(state, folder / "saved.pth")
    return (folder / "saved.pth").read_bytes()


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
    module = tiny()
    load(module, source)
    assert same(module.state_dict(), trained()) and server.requests == 0
    assert cache_files() == sorted([by_hand.name, by_hand.with_suffix(".safetensors").name])


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
