"""Makes work of torch that knows no cancel stop in its middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode

from explorer.errors import Cancelled


class Cancellable(TorchFunctionMode):
    """Within it `cancel` is asked before each operation of torch in this thread. Raises Cancelled there."""

    def __init__(self, cancel: Callable[[], bool]) -> None:
        super().__init__()
        self.cancel = cancel

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.cancel():
            raise Cancelled
        return func(*args, **(kwargs or {}))
