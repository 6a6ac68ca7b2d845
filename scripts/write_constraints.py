"""Write constraints.txt from the packages installed here: the exact versions that CI will run with.

    python -m venv new && new/bin/pip install -e '.[test]' && new/bin/python scripts/write_constraints.py

Run the tests with the new versions before you commit the file.
"""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

_NOT_OURS_TO_PIN = {"gptkit", "pip"}
_HEADER = "# The exact versions CI runs with: pip install -c constraints.txt -e '.[test]'\n"


def main() -> None:
    """Write the file beside pyproject.toml."""
    versions = {dist.metadata["Name"]: dist.version for dist in distributions()}
    lines = [
        # A local version such as 2.13.0+cpu is another build of the same release.
        f"{name}=={version.partition('+')[0]}\n"
        for name, version in sorted(versions.items(), key=lambda item: item[0].lower())
        if name.lower() not in _NOT_OURS_TO_PIN
    ]
    path = Path(__file__).resolve().parent.parent / "constraints.txt"
    path.write_text(_HEADER + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
