"""The classifier: architecture, inference engine, training and evaluation.

OpenVINO, once imported, reports its use to its makers over the internet. Whoever imports this package first keeps it
from doing so: the package that would report then cannot be imported, and OpenVINO goes on without.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # what Python documents for a blocked import
