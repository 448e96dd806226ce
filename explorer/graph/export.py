"""nn.Module → operations by torch.export, which follows control flow on sizes."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Generator, Iterable
from typing import Any

import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

from explorer.graph.capture import Captured, TooManySteps
from explorer.graph.shapes import image_dtype

MOST_CALLS = 300_000  # of torch's functions: the largest networks make 190,000


EXAMPLES = (2, 1)  # of two images a program for any number is made; some networks are made for one alone


def exported(module: nn.Module, input_size: tuple[int, int, int], batch: int) -> Captured:
    """Trace with torch.export for this input size, and for one image or any number of them. Raises what stops it."""
    parameter = next(iter(module.parameters()), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    example = torch.zeros(batch, *input_size, dtype=image_dtype(module), device=device)
    shapes = ({0: torch.export.Dim.AUTO},) if batch > 1 else None
    with quiet(), _Counting():
        program = torch.export.export(module, (example,), dynamic_shapes=shapes, strict=False)
    root = program.module(check_guards=False)
    assert isinstance(root, fx.GraphModule)
    image = next(node for node in root.graph.nodes if node.op == "placeholder")
    if batch > 1 and isinstance(image.meta["val"].shape[0], int):
        raise ValueError(f"it takes {batch} images and no other number")
    return Captured(root, root.graph, out_spec=program.call_spec.out_spec, batch=1 if batch == 1 else None)


class _Counting(TorchFunctionMode):
    """Ends what calls torch without end."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise TooManySteps(f"its forward calls torch more than {MOST_CALLS} times")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Keep torch.export from logging, warning and printing what we report in one sentence."""
    loggers = [logging.getLogger(name) for name in ("torch", *_loggers_below("torch"))]
    before = [(logger, logger.level) for logger in loggers]
    module: Any = importlib.import_module("torch.export._trace")
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    module.print = _say_nothing  # a graph on stderr, where a value decides
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del module.print
        for logger, level in before:
            logger.setLevel(level)


def _loggers_below(name: str) -> list[str]:
    """The loggers inside one that have a level of their own."""
    known = logging.Logger.manager.loggerDict.items()
    return [
        found
        for found, logger in known
        if found.startswith(f"{name}.") and isinstance(logger, logging.Logger) and logger.level
    ]


def _say_nothing(*_: Any, **__: Any) -> None: ...
