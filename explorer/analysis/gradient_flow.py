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
    outputs: list[tuple[str, Tensor]] = []
    parts: dict[str, Any] = dict(module.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    mixing = [path for path, part in parts.items() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks: list[Any] = [parts[path].register_forward_hook(_keeper(path, outputs, cancel)) for path in mixing]
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        with mode(module, training=True), _seeded(seed), Cancellable(cancel):
            loss = _loss(_answer(module, buffers, images), generator)
        # What does not lead to the scores, as an auxiliary head, gets none.
        found: Any = torch.autograd.grad(loss, [y for _, y in outputs], allow_unused=True) if outputs else ()
    finally:
        for hook in hooks:
            hook.remove()
    arrived = [(path, gradient) for (path, _), gradient in zip(outputs, found, strict=True) if gradient is not None]
    if not arrived:
        raise UserError(
            "Gradients are followed at modules, and no convolution or linear layer that leads to the scores is one."
        )
    return tuple(GradientNorm(path, float(gradient.float().norm())) for path, gradient in arrived)


def _answer(module: nn.Module, buffers: dict[str, Tensor], images: Tensor) -> Any:
    """What the module returns. A person's own may ask for more in training mode, or fail in ways of its own."""
    try:
        return functional_call(module, buffers, (images,))
    except (Cancelled, UserError):
        raise
    except Exception as error:
        raise UserError(f"{type(module).__name__} does not run in training mode: {reason(error)}.") from None


@contextlib.contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Within it dropout draws from this seed; the generator of before goes on after it."""
    before = torch.random.get_rng_state()
    torch.random.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    try:
        yield
    finally:
        torch.random.set_rng_state(before)


def _keeper(path: str, outputs: list[tuple[str, Tensor]], cancel: Callable[[], bool]) -> Callable[..., None]:
    """A hook that keeps a layer's output, and asks on the way back whether to go on."""

    def stop(gradient: Tensor) -> Tensor:
        if cancel():
            raise Cancelled
        return gradient

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        if not output.requires_grad:  # where the network shuts the gradient off
            return
        output.register_hook(stop)  # pyright: ignore[reportUnknownMemberType]
        outputs.append((path, output))

    return keep


def _loss(result: Any, generator: torch.Generator) -> Tensor:
    scores = next((tensor for _, tensor in tensors(result)), None)
    if scores is None or scores.dim() != 2 or not scores.requires_grad:
        raise UserError("The network returns no scores of classes, so there is no loss to follow back.")
    labels = torch.randint(scores.shape[1], (len(scores),), generator=generator)
    return nn.functional.cross_entropy(scores, labels.to(scores.device))


def ratio(norms: tuple[GradientNorm, ...]) -> float:
    """How many times larger the gradient is at the first convolution than at the last layer."""
    return norms[0].norm / norms[-1].norm
