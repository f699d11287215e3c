"""OpenVINO without its telemetry: importing it would otherwise report to its makers over the internet.

Import `openvino` from here. Once this module is imported, the package that would report cannot be.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it fails, and OpenVINO goes on without

import openvino  # noqa: E402

__all__ = ["openvino"]
