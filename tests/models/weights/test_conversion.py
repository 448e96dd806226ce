"""Published checkpoints, which are pickles, to safetensors: tensors alone, and nothing is run."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from explorer.errors import Cancelled
from models.errors import WeightsError
from models.weights.convert_checkpoint import convert, main
from models.weights.sources import load
from tests.support.checkpoints import same, upload


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no pickle at all", "is refused"),
        (None, "cannot be read: No such file"),
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
    assert str(caught.value).startswith(str(source))
    assert sentence in str(caught.value)
    assert not target.exists()


def test_tensors_that_share_memory_are_converted(tmp_path: Path) -> None:
    tied = torch.arange(6.0).view(2, 3)
    torch.save({"a": tied, "b": nn.Parameter(tied), "c": tied.T}, tmp_path / "in.pth")
    convert(str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors"))
    content = (tmp_path / "out.safetensors").read_bytes()
    module = nn.ParameterDict({"a": torch.zeros(2, 3), "b": torch.zeros(2, 3), "c": torch.zeros(3, 2)})
    load(module, upload(content)())
    assert same(module.state_dict(), {"a": tied, "b": tied, "c": tied.T})


def expanded(length: int) -> dict[Any, Any]:
    return {"a": torch.zeros(1).expand(length)}


HOSTILE: list[tuple[dict[Any, Any], str]] = [
    (expanded(10**9), "is refused: its tensors would unfold to 4,000,000,000 bytes"),
    (expanded(10**12), "is refused: its tensors would unfold to 4,000,000,000,000 bytes"),
    ({"a\ud800": torch.ones(2)}, r"the name 'a\ud800' cannot stand in a safetensors file"),
    ({"__metadata__": torch.ones(2)}, "the name '__metadata__' cannot stand in a safetensors file"),
    ({1: torch.ones(2), "1": torch.ones(3)}, "cannot be converted: 1 and '1' are one name as text"),
    ({"x" * 10**6: torch.ones(2)}, "a name in it has 1,000,000 characters"),
    ({(1, 2): torch.ones(2)}, "the name (1, 2) is no text"),
    ({"a": torch.ones(2, dtype=torch.complex128)}, "safetensors has no type torch.complex128"),
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("state", "sentence"), HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_a_hostile_state_dict_is_refused_in_a_sentence_of_our_own(
    state: dict[Any, Any], sentence: str, zipped: bool, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "in.pth", _use_new_zipfile_serialization=zipped)
    assert sentence in refused(tmp_path)


def refused(folder: Path) -> str:
    """The sentence with which the file in.pth of the folder is refused; nothing is left of the attempt."""
    before = sorted(folder.iterdir())
    with pytest.raises(WeightsError) as caught:
        convert(folder / "in.pth", folder / "out.safetensors")
    assert sorted(folder.iterdir()) == before
    message = str(caught.value)
    assert not any(word in message for word in ("weights_only", "miniz", "PytorchStreamReader", "Traceback"))
    return message


def test_an_archive_that_unfolds_is_refused(tmp_path: Path) -> None:
    """Torch itself never compresses: 200 MB of zeros in 200 kB."""
    with zipfile.ZipFile(tmp_path / "in.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/data.pkl", b"")
        archive.writestr("in/data/0", bytes(200_000_000))
    assert "bytes would unfold to 200,000,000" in refused(tmp_path)


def test_a_file_that_asks_for_memory_is_refused_by_the_limit(tmp_path: Path) -> None:
    """A storage of 100 GB in an old file of a few hundred bytes."""
    torch.save({"a": torch.zeros(1234567)}, tmp_path / "in.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "in.pth").read_bytes()[:1000]
    number = (1234567).to_bytes(4, "little")
    assert number in content
    (tmp_path / "in.pth").write_bytes(content.replace(b"J" + number, b"\x8a\x05" + (25 * 10**9).to_bytes(5, "little")))
    assert "is refused: it asks for more memory" in refused(tmp_path)


def test_a_torchscript_archive_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "in.pth"))
    assert "is a TorchScript archive, which holds code; save its tensors alone" in refused(tmp_path)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.pth", "w") as archive:
        archive.writestr("word/document.xml", "text")
    assert "is a zip archive, but none that torch.save made" in refused(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_byte_is_found_or_changes_nothing(share: float, tmp_path: Path) -> None:
    state = {"a": torch.arange(1000.0), "b": torch.arange(50)}
    torch.save(state, tmp_path / "in.pth")
    content = bytearray((tmp_path / "in.pth").read_bytes())
    content[int(share * len(content))] ^= 0x55
    (tmp_path / "in.pth").write_bytes(content)
    try:
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    except WeightsError as error:
        assert "is damaged" in str(error)
    else:
        assert same(load_file(tmp_path / "out.safetensors"), state)


def test_a_cancel_ends_the_child_and_leaves_nothing(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "in.pth")
    with pytest.raises(Cancelled):
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors", cancel=lambda: True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.pth"]


def test_the_converters_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["only_one.pth"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("usage: python -m models.weights.convert_checkpoint")
    assert complaint.count("\n") == 1
