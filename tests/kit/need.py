"""When a test may be skipped: where the machine lacks a part, and never in CI."""

import os

import pytest


def need(condition: object, reason: str) -> None:
    """Go on only if `condition` holds; else skip with `reason`, or fail with it where the variable CI is set."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
