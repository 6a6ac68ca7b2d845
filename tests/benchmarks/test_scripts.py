"""Scripts write their page, with a tiny model; those that compile or run whole programs are tried by hand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COMMANDS = {
    "scaling.py": ["--vary", "batch_size", "--sizes", "1", "--steps", "1", "--rounds", "1"],
    "utilisation.py": ["--shapes", "tiny", "--rounds", "1"],
}


@pytest.mark.parametrize("script", sorted(COMMANDS))
def test_a_script_writes_a_page_with_its_numbers_and_its_command(script, tmp_path):
    page = tmp_path / "page.md"
    command = [sys.executable, BENCHMARKS / script, *COMMANDS[script], "--out", page]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")

    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert f"python benchmarks/{script}" in text
    assert str(tmp_path) not in text and os.sep + "tmp" not in text
    rows = [line for line in text.splitlines() if "| gptkit auto" in line]
    assert rows
    assert all(re.search(r"\d", row.partition("gptkit auto")[2]) for row in rows)
