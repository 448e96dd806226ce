"""`explorer.export`: every format comes back equal, says what it holds, and leaves the module as it was."""

from __future__ import annotations

import zipfile
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import explorer
import models
from explorer.errors import UserError
from explorer.exchange import onnx_out
from explorer.images.preprocess import Preprocessing
from explorer.networks import spec_file
from models.weights import header
from models.weights.safetensors_file import read_into

HOW = Preprocessing(72, (64, 64), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 3, "bicubic", "crop")
NAMES = tuple(f"kind {number}" for number in range(12))


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return models.build("mobilenet_v3_mini").eval()


@pytest.fixture(scope="module")
def onnx_file(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    module.train()
    explorer.export(module, path, input_size=(3, 64, 64), classes=NAMES, preprocessing=HOW)
    assert module.training, "the module is left as it was"
    module.eval()
    return path


def test_onnx_is_sound_and_takes_any_number_of_images(module: nn.Module, onnx_file: Path) -> None:
    model = onnx.load(onnx_file, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    (image,) = model.graph.input
    assert image.type.tensor_type.shape.dim[0].dim_param == "batch"
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    for count in (1, 5):
        x = torch.randn(count, 3, 64, 64)
        (found,) = session.run(None, {image.name: x.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), module(x), rtol=1e-4, atol=1e-5)


def test_onnx_names_modules_and_classes_and_no_place_of_this_machine(onnx_file: Path) -> None:
    content = onnx_file.read_bytes()
    assert b"features.4.block" in content
    assert b"kind 11" in content
    for place in (str(Path(__file__).parents[2]), str(Path(torch.__file__).parent), "site-packages", "stack_trace"):
        assert place.encode() not in content


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("flat", [False, True])
def test_local_response_norms_that_onnxruntime_lacks_are_written_in_steps(
    size: int, flat: bool, tmp_path: Path
) -> None:
    """Over an even number of channels, or of what is no map; the writer compares the file with onnxruntime."""
    layers = [nn.Conv2d(3, 8, 3), *([nn.Flatten(2)] if flat else []), nn.LocalResponseNorm(size, alpha=1.0)]
    explorer.export(nn.Sequential(*layers).eval(), tmp_path / "a.onnx", input_size=(3, 8, 8))
    nodes = [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node]
    assert ("LRN" in nodes) == (size == 3 and not flat)


def test_what_onnxruntime_cannot_run_is_a_sentence_and_no_file(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3)).to(torch.bfloat16)
    with pytest.raises(UserError, match="onnxruntime cannot run what was written of Sequential: "):
        explorer.export(module, tmp_path / "a.onnx", input_size=(3, 8, 8))
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_one_sentence_with_its_command(
    module: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_out, "NEEDED", ("torch", "onnx_of_another_world"))
    with pytest.raises(
        UserError, match=r"^ONNX needs onnx_of_another_world, .*: pip install 'cnn-explorer\[onnx\]'\.$"
    ):
        explorer.export(module, tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_safetensors_come_back_with_classes_and_preprocessing(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    explorer.export(module, path, classes=NAMES, preprocessing=HOW)
    said = header.read(path.name, path)
    assert said.classes == NAMES
    assert said.notes == ()
    assert (said.image_size, said.choices.resize, said.choices.fit) == (64, 72, "crop")
    assert (said.choices.mean, said.choices.std, said.choices.interpolation) == (HOW.mean, HOW.std, "bicubic")
    again = models.build("mobilenet_v3_mini", seed=1)
    read_into(again, path, path.name)
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in again.state_dict().items())


def test_pt2_is_what_torch_reads(module: nn.Module, tmp_path: Path) -> None:
    explorer.export(module, tmp_path / "network.pt2", input_size=(3, 64, 64))
    with zipfile.ZipFile(tmp_path / "network.pt2") as archive:
        assert not any(b"site-packages" in archive.read(name) for name in archive.namelist())
    program = torch.export.load(tmp_path / "network.pt2")
    again, x = program.module(), torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(x), module(x))
    wanted, found = explorer.analyze(module, (3, 64, 64)), explorer.analyze(again, (3, 64, 64))
    assert (found.macs, found.params, found.receptive_field) == (wanted.macs, wanted.params, wanted.receptive_field)


def test_python_says_classes_and_preprocessing(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    explorer.export(module, path, input_size=(3, 64, 64), classes=NAMES, preprocessing=HOW)
    names: dict[str, object] = {"__name__": "written"}
    exec(path.read_text(encoding="utf-8"), names)
    assert (names["CLASSES"], names["MEAN"], names["RESIZE"]) == ([*NAMES], [0.1, 0.2, 0.3], 72)


@pytest.mark.parametrize("name", [*models.presets(), *(block.name for block in models.blocks())])
def test_every_spec_comes_back_equal_from_json(name: str) -> None:
    spec = models.spec(name) if name in models.presets() else models.block(name).spec()
    assert spec_file.read_spec("a.json", spec_file.spec_text(spec).encode()) == spec


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "a.json is not valid JSON."),
        (b'{"architecture": "resnet"}', "a.json holds no network: a JSON object with architecture and spec is needed."),
        (b'{"architecture": "nonet", "spec": {}}', "a.json is of 'nonet', which is not known here."),
        (b'{"architecture": "resnet", "spec": {"depths": -1}}', "depths=-1 is not valid"),
    ],
)
def test_a_spec_that_is_none_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UserError) as caught:
        spec_file.read_spec("a.json", content)
    assert str(caught.value).startswith(said)


def test_bad_requests_are_one_sentence(tmp_path: Path) -> None:
    bare = models.build("lenet_mini", device="meta")
    for path, options, said in [
        ("a.tar", {}, "path='a.tar' does not end in one of .py, .onnx, .pt2, .safetensors."),
        ("a.py", {"format": "tar"}, "format='tar' is not one of python, onnx, pt2, safetensors."),
        ("a.onnx", {}, "has no weights, only their shapes: it can be written as Python alone."),
        ("a.py", {"input_size": (3, 2, 2)}, "fails at"),
    ]:
        with pytest.raises(UserError, match=said.replace("(", r"\(")):
            explorer.export(bare, tmp_path / path, **options)
    assert list(tmp_path.iterdir()) == []
