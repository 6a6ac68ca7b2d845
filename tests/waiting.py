"""Waiting for what another process does."""

import time


def wait_for(condition, seconds=60):
    """Look again and again until the condition holds; fail where it does not in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
