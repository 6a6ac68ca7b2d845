"""The documentation: snippets run, commands parse, links and file names point to something."""

import ast
import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from gptkit.cli import app
from gptkit.config import find_config, load_config, parse_override

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = sorted((REPOSITORY / "docs").rglob("*.md"))
PAGES = [*DOCS, *sorted(REPOSITORY.glob("README*.md")), REPOSITORY / "data/README.md"]
SHELLS = ("sh", "console", "bash", "shell")


@dataclass
class Block:
    """A fenced block of a page, and the unmarked block after it, which shows what it prints."""

    page: Path
    line: int
    language: str
    text: str
    output: str = ""

    def __str__(self):
        return f"{self.page.relative_to(REPOSITORY).as_posix()}:{self.line}"


def blocks(pages):
    found = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        above = None
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            if above is not None and not match[1] and text[above[1] : match.start()] == "\n":
                above[0].output = match[2]
            else:
                found.append(Block(page, line, match[1], match[2]))
            above = (found[-1], match.end())
    return found


def prose(page):
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)


PYTHON = [block for block in blocks(DOCS) if block.language == "python"]
# What needs a trained run or a stopwatch is tried by hand.
RUNNABLE = [
    block
    for block in PYTHON
    if block.page.parent.name == "learn"
    and not re.search(r"gptkit\.load|load_config|perf_counter", block.text)
]


def commands(block):
    """Yield the arguments of each `gptkit ...`; in a console block only of lines with a `$`."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words = list(lexer)
        starts = [
            i
            for i, word in enumerate(words)
            if word == "gptkit" and (i == 0 or words[i - 1] in ("&&", "|", ";", "-m"))
        ]
        for start in starts:
            arguments = words[start + 1 :]
            ends = [i for i, word in enumerate(arguments) if word.strip("|&;<>") == ""]
            yield arguments[: min(ends, default=len(arguments))]


COMMANDS = [
    pytest.param(arguments, id=f"{block} {' '.join(arguments)}")
    for block in blocks(PAGES)
    if block.language in SHELLS
    for arguments in commands(block)
]


def parse(arguments):
    """Return the parameters of a command line, parsed as the program does, without running it."""
    command, name = get_command(app), "gptkit"
    while hasattr(command, "commands"):
        assert arguments, f"{name} needs a subcommand"
        name, *arguments = arguments
        if name.startswith("--"):
            return {}
        assert name in command.commands, f"no command '{name}'"
        command = command.commands[name]
    if "--help" in arguments:
        return {}
    return command.make_context(name, list(arguments)).params


def test_the_docs_are_found():
    assert len(DOCS) > 10
    assert len(COMMANDS) > 15
    assert len(RUNNABLE) > 5


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_snippet_compiles_and_imports_what_exists(block):
    tree = ast.parse(block.text, filename=str(block))

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("gptkit"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_a_snippet_prints_what_the_page_shows(block):
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, str(block), "exec"), {})

    assert without_decimals(printed.getvalue()) == without_decimals(block.output)


def without_decimals(text):
    """Return the text without its decimal numbers, whose last digits differ between machines."""
    return re.sub(r"-?\d+\.\d*(e-?\d+)?", "#", text)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_command_exists_with_its_options(arguments):
    parse(arguments)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_command_names_configs_and_settings_that_exist(arguments):
    parameters = parse(arguments)
    name = parameters.get("config")
    if name is None or name == "CONFIG" or (REPOSITORY / name).suffix == ".yaml":
        return

    settings = parameters.get("settings") or []
    load_config(find_config(name), [parse_override(text) for text in settings])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_point_to_files(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))

    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]

    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_files_of_the_package_that_a_page_names_exist(page):
    named = re.findall(r"`((?:gptkit|configs|tests|docs|scripts)/[\w./-]*)`", prose(page))

    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_the_attention_of_the_plugins_page_trains_and_samples(tmp_path):
    page = blocks([REPOSITORY / "docs/plugins.md"])
    files = {"my.txt": "the lazy fox jumps over the quick dog. " * 40}
    for name in ("my_attention.py", "my.yaml"):
        whole = [block.text for block in page if block.text.startswith(f"# {name}")]
        files[name] = max(whole, key=len)
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k not in ("GPTKIT_RUNS", "GPTKIT_DATA")}
    environment["PYTHONPATH"] = str(REPOSITORY)

    def gptkit(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "gptkit", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8",
        )  # fmt: skip

    trained = gptkit("train", "my.yaml", "--set", "training.max_steps=2")
    refused = gptkit("sample", "--prompt", "the")
    sampled = gptkit("sample", "--prompt", "the", "--max-new-tokens", "70", "--allow-plugins")

    code = [line for line in files["my_attention.py"].splitlines() if line.strip()]
    assert len(code) <= 40
    assert trained.returncode == 0, trained.stderr
    assert refused.returncode == 2
    assert sampled.returncode == 0, sampled.stderr
    assert sampled.stdout.startswith("the") and len(sampled.stdout) > 70
