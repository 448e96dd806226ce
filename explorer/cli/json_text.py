"""What commands print as JSON, which has no word for a number that is not finite."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any


def json_text(value: Any, indent: int | None = None) -> str:
    """Plain data and dataclasses as JSON; NaN and infinities are null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {name: _finite(each) for name, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return _finite(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value
