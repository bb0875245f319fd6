"""The OpenVINO library, imported without what crossrank does not use. Every use of it goes through here.

At each ``import openvino``, OpenVINO reports to a web analytics service, unless the reporting package is
missing; and it imports its converter of other models, which takes as long as all the rest. So both are made
to look missing for as long as the import takes. The converter is imported when somebody asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_REPORTER, _CONVERTER = "openvino_telemetry", "openvino.tools.ovc"


@contextmanager
def _missing(*names: str) -> Iterator[None]:
    """Let modules look as if they were not installed."""
    found = {name: sys.modules[name] for name in names if name in sys.modules}
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say: there is no such module
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(found)


def _convert_model(name: str) -> Any:
    """``openvino.convert_model``, for other code in this process."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    with _missing(_REPORTER):
        from openvino.tools.ovc import convert_model
    return convert_model


_is_first = "openvino" not in sys.modules
with _missing(_REPORTER, *([_CONVERTER] if _is_first else [])):
    import openvino as ov
    from openvino import opset13 as op
if _is_first:
    ov.__getattr__ = _convert_model

__all__ = ["op", "ov"]
