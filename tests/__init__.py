"""The tests, and how far those that draw their examples look.

Here and not in conftest.py, which trial does not import.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline, and no verdict on how long an example takes to be drawn: the machines
# that run this share their cores. "ci" looks further and always at the same examples,
# so that a red run is about the change.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _PATIENT)
settings.register_profile(
    "ci", _PATIENT, max_examples=300, derandomize=True, print_blob=True
)
# Where each example costs ten times what it does elsewhere: see tests/windows.
settings.register_profile("few", _PATIENT, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
