"""What all tests share."""

import os

# Tiny models: a second thread costs more than it brings, and the tests may share the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_LONGEST = ("tests/test_fault_injection.py", "tests/cli/test_killed.py", "tests/cli/test_doctor.py")


def pytest_collection_modifyitems(items):
    """Begin with what takes longest: begun last, one process would work and the others wait for it."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
