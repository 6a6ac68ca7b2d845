import sys
from pathlib import Path

# The benchmarks are scripts beside a package of theirs; Python finds it where the script is.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
