"""What importing OpenVINO through crossrank loads, and what it leaves as it was."""

from __future__ import annotations

from support.processes import run_python


def test_neither_reporter_nor_converter_is_imported_and_none_is_hidden_afterwards() -> None:
    run_python("""
    import sys
    from crossrank.families.graphs.openvino_library import ov
    assert not [name for name in sys.modules if name.startswith(("openvino_telemetry", "openvino.tools"))]
    """)


def test_converter_is_there_for_other_code_and_does_not_report() -> None:
    run_python("""
    import sys
    from crossrank.families.graphs.openvino_library import ov
    from openvino import convert_model
    assert ov.convert_model is convert_model and convert_model.__module__.startswith("openvino.tools")
    assert "openvino_telemetry" not in sys.modules
    assert not hasattr(ov, "no_such_name")
    """)


def test_openvino_that_was_imported_before_is_left_alone() -> None:
    run_python("""
    import sys
    sys.modules["openvino_telemetry"] = None  # what it reports to
    import openvino
    from openvino.tools import ovc
    import crossrank.families.graphs.openvino_library
    assert sys.modules["openvino.tools.ovc"] is ovc
    assert "__getattr__" not in vars(openvino)
    """)
