"""The OpenVINO library, imported without its telemetry. Every use of it in the package goes through here.

At each ``import openvino``, OpenVINO reports to a web analytics service, unless the reporting package is
missing. So that package is made to look missing for as long as the import takes.
"""

from __future__ import annotations

import sys

_REPORTER = "openvino_telemetry"

_missing = object()
_found = sys.modules.get(_REPORTER, _missing)
sys.modules[_REPORTER] = None  # type: ignore[assignment]  # Python's own way to say: there is no such module
try:
    import openvino as ov
    from openvino import opset13 as op
finally:
    if _found is _missing:
        del sys.modules[_REPORTER]
    else:
        sys.modules[_REPORTER] = _found  # type: ignore[assignment]

__all__ = ["op", "ov"]
