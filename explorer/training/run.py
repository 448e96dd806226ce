"""One training run: the recipe, the loop, and a checkpoint from which it continues exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import models
from explorer.errors import Cancelled, UserError, in_percent
from explorer.training.batches import Labelled, augment, normalise
from explorer.training.weight_files import epoch_file, write_weights
from explorer.whole_file import write_whole


@dataclass(frozen=True)
class Recipe:
    """How every network is trained: AdamW, one cycle of the learning rate, smoothed labels."""

    batch: int = 128
    peak_rate: float = 4e-3
    weight_decay: float = 0.05
    warm_up: float = 0.2  # share of all steps
    smoothing: float = 0.05
    auxiliary: float = 0.3  # weight of an auxiliary head's loss (Szegedy et al. 2014, section 5)


@dataclass(frozen=True)
class Settings:
    """What decides a run's result; a checkpoint continues only under the settings that it began with.

    checkpoints: the epochs after which the weights are kept.
    """

    preset: str
    epochs: int
    seed: int
    items: int
    spec: dict[str, Any]
    recipe: Recipe
    checkpoints: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def command(self) -> str:
        """What a person types to repeat the run."""
        kept = f" --checkpoints {','.join(map(str, self.checkpoints))}" if self.checkpoints else ""
        options = f"--epochs {self.epochs} --seed {self.seed} --items {self.items}{kept}"
        return f"python -m explorer train {self.preset} {options}"

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.items / self.recipe.batch)


@dataclass(frozen=True)
class Progress:
    """Where a run is: `done` of `total` items drawn or steps trained, and what the epoch has shown so far."""

    stage: str  # "drawing" or "training"
    done: int
    total: int
    eta_s: float
    epoch: int = 0
    loss: float = math.nan
    accuracy: float = math.nan

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.eta_s), 60)
        line = f"{self.stage} {self.done}/{self.total}, {minutes}:{seconds:02d} left"
        if self.stage == "drawing":
            return line
        return f"epoch {self.epoch}, {line}, loss {self.loss:.3f}, training accuracy {in_percent(self.accuracy, 1)}"


@dataclass
class State:
    """What a checkpoint keeps beside the tensors; every random choice follows from seed and step."""

    step: int = 0
    loss_sum: float = 0.0
    hits: int = 0
    seen: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class Run:
    """One training run: network, optimizer and state, which together are the checkpoint."""

    def __init__(
        self,
        settings: Settings,
        device: torch.device,
        folder: Path,
        progress: Callable[[Progress], None],
        cancel: Callable[[], bool],
    ) -> None:
        self.settings, self.device, self.folder = settings, device, folder
        self.progress, self.cancel, self.state = progress, cancel, State()
        built = models.build(type(models.spec(settings.preset)).parse(settings.spec), seed=settings.seed)
        self.module = built.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if device.type == "cpu":
            _keep_depthwise_in_float32(self.module)
        recipe = settings.recipe
        self.optimizer = torch.optim.AdamW(
            _weight_groups(self.module, recipe.weight_decay), lr=recipe.peak_rate, betas=(0.9, 0.99)
        )

    def train(self, pictures: Labelled) -> None:
        """Train from the state's step to the last; a checkpoint after each epoch, and one where it is cancelled."""
        settings, began, first = self.settings, time.monotonic() - self.state.seconds, self.state.step
        gpu = [self.device.index or 0] if self.device.type == "cuda" else []
        started = time.monotonic()
        with torch.random.fork_rng(devices=gpu), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            while self.state.step < settings.steps:
                self._step(pictures)
                self.state.seconds = time.monotonic() - began
                pace = (time.monotonic() - started) / (self.state.step - first)
                self.progress(self._progress(pace))
                stopped = self.cancel()
                if self.state.step % settings.steps_per_epoch == 0:
                    self._end_epoch()
                elif stopped:
                    self.save()
                if stopped:
                    raise Cancelled

    def _step(self, pictures: Labelled) -> None:
        settings, recipe, step = self.settings, self.settings.recipe, self.state.step
        epoch, place = divmod(step, settings.steps_per_epoch)
        order = torch.randperm(settings.items, generator=_generator(settings.seed, epoch, "order"))
        chosen = order[place * recipe.batch : (place + 1) * recipe.batch]
        noise = _generator(settings.seed, step, "augment")
        images = normalise(augment(pictures.images[chosen].float().div(255), noise)).to(self.device)
        images, labels = images.contiguous(memory_format=torch.channels_last), pictures.labels[chosen].to(self.device)
        torch.manual_seed(noise.initial_seed())  # dropout
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.peak_rate * learning_rate_share(step, settings.steps, recipe.warm_up)
        logits = self._learn(images, labels)
        self.state.hits += int((logits.argmax(1) == labels).sum())
        self.state.seen += len(chosen)
        self.state.step += 1

    def _learn(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step of the optimizer; returns the logits [N, classes]."""
        recipe = self.settings.recipe
        with torch.autocast(self.device.type, torch.bfloat16, enabled=_multiplies_bfloat16(self.device)):
            outputs = self.module.train()(images)
        logits, *others = (head.float() for head in (outputs if isinstance(outputs, tuple) else (outputs,)))
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)
        for other in others:
            loss = loss + recipe.auxiliary * F.cross_entropy(other, labels, label_smoothing=recipe.smoothing)
        if not math.isfinite(loss.item()):
            raise UserError(f"{self.settings.preset}: the loss is not finite at step {self.state.step}.")
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.state.loss_sum += loss.item() * len(labels)
        return logits

    def _progress(self, pace_s: float) -> Progress:
        state, settings = self.state, self.settings
        epoch = (state.step - 1) // settings.steps_per_epoch + 1
        eta_s = pace_s * (settings.steps - state.step)
        loss, accuracy = state.loss_sum / state.seen, state.hits / state.seen
        return Progress("training", state.step, settings.steps, eta_s, epoch, loss, accuracy)

    def _end_epoch(self) -> None:
        state = self.state
        epoch, loss, accuracy = len(state.history) + 1, state.loss_sum / state.seen, state.hits / state.seen
        state.history.append(
            {"epoch": epoch, "loss": loss, "training_accuracy": accuracy, "seconds": round(state.seconds, 1)}
        )
        state.loss_sum, state.hits, state.seen = 0.0, 0, 0
        if epoch in self.settings.checkpoints:  # before `save`: a run killed between them writes the same again
            settings = self.settings
            write_weights(self.kept(epoch), self.module, settings.preset, settings.spec["image_size"], epoch)
        self.save()
        lines = "".join(json.dumps(line) + "\n" for line in state.history)
        write_whole(self.folder / "metrics.jsonl", lambda draft: draft.write_text(lines, encoding="utf-8"))

    def kept(self, epoch: int) -> Path:
        """Where the weights after an epoch of `checkpoints` are."""
        return self.folder / epoch_file(self.settings.preset, epoch)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def save(self) -> None:
        """Write the checkpoint: weights, the optimizer's averages, and the state as JSON in the header."""
        tensors = {f"model.{name}": tensor for name, tensor in self.module.state_dict().items()}
        for index, averages in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in averages.items()}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        header = {"settings": json.dumps(asdict(self.settings)), "state": json.dumps(asdict(self.state))}
        write_whole(self.checkpoint, lambda draft: save_file(tensors, draft, header))

    def resume(self) -> None:
        """Take up the checkpoint, if there is one. Raises UserError if it is damaged or of other settings."""
        if not self.checkpoint.exists():
            return
        try:
            with safe_open(self.checkpoint, "pt") as file:
                header = file.metadata() or {}
            settings, state = dict(json.loads(header["settings"])), State(**json.loads(header["state"]))
            tensors = load_file(self.checkpoint)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise self._refusal(error) from None
        self._compare(settings)
        try:
            self._load(tensors)
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            raise self._refusal(error) from None
        self.state = state

    def _refusal(self, error: Exception) -> UserError:
        why = " ".join(str(error).split())[:200].rstrip(".")
        return UserError(f"{self.checkpoint} is not a checkpoint of a training run: {why}; restart, or delete it.")

    def _compare(self, theirs: dict[str, Any]) -> None:
        # Through JSON, as the checkpoint's were: tuples become lists.
        mine, theirs = json.loads(json.dumps(asdict(self.settings))), {"checkpoints": [], **theirs}
        different = next((name for name in mine if mine[name] != theirs.get(name)), None)
        if different:
            raise UserError(
                f"{self.checkpoint} is of a run with {different}={theirs.get(different)}, not {mine[different]}; "
                "restart, or choose another folder."
            )

    def _load(self, tensors: dict[str, Tensor]) -> None:
        kept = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        self.module.load_state_dict(kept)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        averages: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                parameter = parameters[int(index)]
                # In the parameter's memory layout, as the optimizer would have made it: rounding depends on it.
                laid_out = tensor if key == "step" else torch.empty_like(parameter).copy_(tensor.view_as(parameter))
                averages.setdefault(int(index), {})[key] = laid_out.detach()
        for index, found in averages.items():
            if not {"step", "exp_avg", "exp_avg_sq"} == set(found):  # what AdamW keeps of a parameter
                raise ValueError(f"optimizer.{index} holds only {', '.join(sorted(found))}")
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": averages})


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the processor has instructions for bfloat16; where it has none, emulating them is far slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def _keep_depthwise_in_float32(module: nn.Module) -> None:
    """Depthwise convolutions pass over autocast: in bfloat16 a CPU takes many times as long for their gradients."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1:
            part.forward = partial(_in_float32, part)


def _in_float32(layer: nn.Conv2d, input: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return nn.Conv2d.forward(layer, input.float())


def _weight_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions and linear layers decay; biases and the norms' parameters do not."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _generator(seed: int, number: int, purpose: str) -> torch.Generator:
    """A generator of its own for each purpose and step, so that a run continued draws what it would have drawn."""
    salt = {"order": 1, "augment": 2}[purpose]
    return torch.Generator().manual_seed((seed * 3 + salt) * 1_000_000_007 + number)


def learning_rate_share(step: int, steps: int, warm_up: float) -> float:
    """One cycle: the peak's share at a step; up in a line over the first `warm_up` of all steps, down in a cosine."""
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
