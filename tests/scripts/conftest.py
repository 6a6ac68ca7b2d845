"""The scripts import each other from their own folder, as `python scripts/NAME.py` does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
