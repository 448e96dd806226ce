"""How large the gradient arrives at each convolution: the flow back through a network, at initialisation or after."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from explorer.analysis.outputs import tensors
from explorer.errors import Cancelled, UserError
from explorer.graph.reasons import reason
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import mode
from explorer.run.cancel import Cancellable
from explorer.types import InputSize

BATCH = 4  # images of noise, and as many labels


@dataclass(frozen=True, slots=True)
class GradientNorm:
    """One convolution or linear layer, in order of execution: the L2 norm of the loss's gradient by its output."""

    path: str
    norm: float


def gradient_norms(
    module: nn.Module, input_size: InputSize, *, seed: int = 0, cancel: Callable[[], bool] = lambda: False
) -> tuple[GradientNorm, ...]:
    """The gradients of the cross-entropy of random labels on BATCH images of noise (C, H, W), in training mode.

    The first of several outputs is taken. The module is left as it was: its batch statistics, its mode, its gradients.
    Raises UserError where it does not run in training mode, or returns no scores [N, classes] that a gradient of a
    layer leads to, Cancelled.
    """
    weights = next(module.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(BATCH, *input_size, generator=generator).to(weights.device, image_dtype(module))
    images.requires_grad_()  # so that a gradient goes back through layers whose weights are frozen
    outputs, norms = list[tuple[str, Tensor]](), dict[int, float]()
    parts: dict[str, Any] = dict(module.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    mixing = [path for path, part in parts.items() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks: list[Any] = [parts[path].register_forward_hook(_keeper(path, outputs, norms, cancel)) for path in mixing]
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    name = type(module).__name__
    try:
        with mode(module, training=True), _seeded(seed), Cancellable(cancel):
            with _in_words(f"{name} does not run in training mode"):
                found = functional_call(module, buffers, (images.clone(),))  # which it may change in place
            loss = _loss(found, generator)
        with _in_words(f"No gradient can be followed back through {name}"):
            torch.autograd.grad(loss, [images, *(y for _, y in outputs)], allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    if not norms:
        raise UserError(
            "Gradients are followed at modules, and no convolution or linear layer that leads to the scores is one."
        )
    # What does not lead to the scores, as an auxiliary head, has none.
    return tuple(GradientNorm(path, norms[place]) for place, (path, _) in enumerate(outputs) if place in norms)


@contextlib.contextmanager
def _in_words(failure: str) -> Generator[None]:
    """Within it errors become a sentence: a person's own module may fail in ways of its own."""
    try:
        yield
    except (Cancelled, UserError):
        raise
    except Exception as error:
        raise UserError(f"{failure}: {reason(error).rstrip('.')}.") from None


@contextlib.contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Within it dropout draws from this seed; the generator of before goes on after it."""
    before = torch.random.get_rng_state()
    torch.random.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    try:
        yield
    finally:
        torch.random.set_rng_state(before)


def _keeper(
    path: str, outputs: list[tuple[str, Tensor]], norms: dict[int, float], cancel: Callable[[], bool]
) -> Callable[..., None]:
    """A hook that keeps a layer's output, and by its place the norm that arrives there on the way back.

    The norm is taken on the way, by the output as the layer made it: one that a ReLU then changed in place would have
    the gradient behind the ReLU.
    """

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or not output.requires_grad:  # where the network shuts the gradient off
            return
        place = len(outputs)

        def arrive(gradient: Tensor) -> None:
            if cancel():
                raise Cancelled
            norms[place] = float(gradient.float().square().sum().sqrt())

        output.register_hook(arrive)  # pyright: ignore[reportUnknownMemberType]
        outputs.append((path, output))

    return keep


def _loss(result: Any, generator: torch.Generator) -> Tensor:
    scores = next((tensor for _, tensor in tensors(result)), None)
    if scores is None or scores.dim() != 2 or not scores.numel() or not scores.requires_grad:
        raise UserError("The network returns no scores of classes, so there is no loss to follow back.")
    labels = torch.randint(scores.shape[1], (len(scores),), generator=generator)
    return nn.functional.cross_entropy(scores, labels.to(scores.device))


def ratio(norms: tuple[GradientNorm, ...]) -> float:
    """How many times larger the gradient is at the first convolution than at the last layer."""
    return norms[0].norm / norms[-1].norm
