"""What all tests share."""

import os

# Tiny models: a second thread costs more than it brings, and the tests may share the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
