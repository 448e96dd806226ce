"""Trains presets on the procedural picture set and judges them on unseen items; the `train` command."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

import models
from explorer.analysis.structure import analyze
from explorer.errors import UserError
from explorer.run import device as devices
from explorer.training.batches import (
    EVALUATION_ITEMS,
    EVALUATION_SEED,
    Labelled,
    labelled_pictures,
    normalise,
)
from explorer.training.dataset import CLASSES
from explorer.training.run import Progress, Recipe, Run, Settings
from explorer.training.weight_files import epoch_file, facts, write_weights
from explorer.whole_file import write_whole
from models.spec import NetSpec

RUNS = Path("runs")
EPOCHS, ITEMS, RECIPE = 6, 12_288, Recipe()


def train(
    preset_name: str,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    items: int = ITEMS,
    recipe: Recipe = RECIPE,
    checkpoints: Sequence[int] = (),
    device: str | None = None,
    folder: Path = RUNS,
    out: Path | None = None,
    restart: bool = False,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train a preset on `items` pictures and judge it on 2,000 unseen ones; returns its row of metrics.json.

    `folder` keeps the pictures drawn, the checkpoint and metrics.jsonl (a line an epoch); `out` (by default
    `folder`/weights) gets PRESET.safetensors and metrics.json, and PRESET-epochN.safetensors after each epoch of
    `checkpoints` (1 to `epochs`), whose accuracies are in the row. A run that was stopped goes on where it was, with
    the same result (bit for bit on a CPU), unless `restart`. Raises Cancelled after the batch in which `cancel` turned
    true, MemoryLimitError before anything is drawn, UserError for a value out of range, a checkpoint of other settings
    or a damaged file.
    """
    settings, table = settings_of(preset_name, epochs, seed, items, recipe, checkpoints), out or folder / "weights"
    read_table(table / "metrics.json")  # a damaged one is refused now, not after the training
    row = trained_row(settings, folder, table, device, restart=restart, progress=progress, cancel=cancel)
    enter(table / "metrics.json", preset_name, row)
    return row


def trained_row(
    settings: Settings,
    folder: Path,
    out: Path,
    device: str | None = None,
    *,
    restart: bool = False,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """`train` but for its last step: the weights are written, the row is returned and not entered in the table."""
    tell, stop, place = progress or (lambda _: None), cancel or (lambda: False), devices.resolve(device)
    ensure_fits(settings, place)
    run = Run(settings, place, folder / settings.preset, tell, stop)
    if not restart:
        run.resume()
    pictures, unseen = draw(settings.seed, settings.items, settings.spec["image_size"], folder, tell, stop)
    run.train(pictures)
    return publish(run, unseen, out)


def ensure_fits(settings: Settings, device: torch.device) -> None:
    """Raises MemoryLimitError with both figures if the run needs more memory than there is; allocates nothing."""
    size_px, what = settings.spec["image_size"], f"Training {settings.preset} in batches of {settings.recipe.batch}"
    built = models.build(type(models.spec(settings.preset)).parse(settings.spec), device="meta")
    figures = analyze(built, (3, size_px, size_px), training=True)
    # Each weight has its gradient and the optimizer's two averages; the backward pass reads every activation.
    needed = 4 * figures.weight_bytes + settings.recipe.batch * figures.activation_bytes
    pictures = (settings.items + EVALUATION_ITEMS) * 3 * size_px**2
    if device.type == "cpu":
        devices.ensure_fits(needed + pictures, device, f"{what} on {settings.items:,} pictures")
    else:
        devices.ensure_fits(needed, device, what)
        devices.ensure_fits(pictures, "cpu", f"The set of {settings.items:,} pictures")


def draw(
    seed: int, items: int, size_px: int, folder: Path, tell: Callable[[Progress], None], stop: Callable[[], bool]
) -> tuple[Labelled, Labelled]:
    """The pictures to train on and the unseen ones, drawn or as kept in `folder`."""
    pictures, unseen = (
        labelled_pictures(s, n, size_px, folder / "pictures", progress=_drawing(n, tell), cancel=stop)
        for s, n in ((seed, items), (EVALUATION_SEED, EVALUATION_ITEMS))
    )
    return pictures, unseen


def trained_spec(preset_name: str) -> NetSpec:
    """The preset's Spec with the classes of the picture set."""
    return models.spec(preset_name, num_classes=len(CLASSES))


def settings_of(
    preset_name: str, epochs: int, seed: int, items: int, recipe: Recipe = RECIPE, checkpoints: Sequence[int] = ()
) -> Settings:
    """The settings of a run. Raises UserError for a value out of range, or a network that reads no colour."""
    spec = trained_spec(preset_name)
    for name, value, low, high in (
        ("epochs", epochs, 1, 1000), ("seed", seed, 0, EVALUATION_SEED - 1), ("items", items, 1, 10_000_000),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"{name}={value} is not between {low} and {high}.")
    if spec.in_channels != 3:
        raise UserError(f"in_channels={spec.in_channels} of {preset_name}: the pictures have 3.")
    for epoch in checkpoints:
        if not 1 <= epoch <= epochs:
            raise UserError(f"checkpoints: {epoch} is not between 1 and {epochs}, the epochs.")
    kept = tuple(sorted(set(checkpoints)))
    return Settings(preset_name, epochs, seed, items, spec.model_dump(mode="json"), recipe, kept)


def _drawing(total: int, tell: Callable[[Progress], None]) -> Callable[[int], None]:
    began = time.monotonic()

    def listener(done: int) -> None:
        eta_s = (time.monotonic() - began) / done * (total - done)
        tell(Progress("drawing", done, total, eta_s))

    return listener


def evaluate(module: nn.Module, unseen: Labelled, batch: int = 50) -> float:
    """Share of pictures whose class the network (in eval mode, on any device) gives the highest logit.

    The maps of 50 pictures stay in a CPU's cache: larger batches take up to three times as long.
    """
    device = next(module.parameters()).device
    hits = 0
    with torch.inference_mode():
        for images, labels in zip(unseen.images.split(batch), unseen.labels.split(batch), strict=True):
            inputs = normalise(images.to(device).float().div(255))
            logits = module(inputs.contiguous(memory_format=torch.channels_last))  # twice as fast on a CPU
            hits += int((logits.argmax(1).cpu() == labels).sum())
    return hits / len(unseen.labels)


def publish(run: Run, unseen: Labelled, out: Path) -> dict[str, Any]:
    """Write the weights in float16 and judge what was written; returns its row of metrics.json."""
    settings, path = run.settings, out / f"{run.settings.preset}.safetensors"
    size_px = settings.spec["image_size"]
    write_weights(path, run.module, settings.preset, size_px)
    kept = {str(epoch): _publish_epoch(run, epoch, unseen, out) for epoch in settings.checkpoints}
    run.module.load_state_dict(load_file(path))
    figures = analyze(run.module.eval(), (3, size_px, size_px))
    return {
        "accuracy": evaluate(run.module, unseen), "epochs": settings.epochs, "seed": settings.seed,
        "train_items": settings.items, "command": settings.command, "params": figures.params, "macs": figures.macs,
        **facts(size_px), "seconds": round(run.state.seconds, 1), **({"checkpoints": kept} if kept else {}),
    }  # fmt: skip


def _publish_epoch(run: Run, epoch: int, unseen: Labelled, out: Path) -> float:
    """Put the weights after an epoch beside the others; returns their accuracy. Raises UserError if they are lost."""
    kept = run.kept(epoch)
    try:
        run.module.load_state_dict(load_file(kept))
    except (FileNotFoundError, SafetensorError, RuntimeError):
        raise UserError(f"{kept} is missing or damaged; restart the training.") from None
    write_whole(out / epoch_file(run.settings.preset, epoch), lambda draft: shutil.copyfile(kept, draft))
    return evaluate(run.module.eval(), unseen)


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of the table at `path` by preset, none where there is no file. Raises UserError for a damaged one."""
    try:
        table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        raise UserError(f"{path} is damaged: it holds no table of networks; delete it, or choose another folder.")
    return table


def enter(path: Path, preset_name: str, row: dict[str, Any]) -> None:
    """Put a network's row into the table at `path`, in place of its old one. Raises UserError as `read_table`."""
    rows = sorted({**read_table(path), preset_name: row}.items())
    text = "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in rows) + "\n}\n"
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))
