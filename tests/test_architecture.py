"""Who may import whom: downwards only."""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gptkit"
GROUND = {"atomic", "errors", "native", "section"}
MAY_IMPORT = {
    "cli": {"recipes", "runtime"},
    "recipes": {
        "chat",
        "checkpoint",
        "config",
        "data",
        "dial",
        "generation",
        "insight",
        "interchange",
        "loggers",
        "model",
        "pages",
        "plugins",
        "runs",
        "runtime",
        "tokenizers",
        "training",
    },
    "dial": {"config", "model", "training"},
    "runs": {"checkpoint"},
    "checkpoint": {"tokenizers"},
    "config": {"data", "loggers", "model", "plugins", "runtime", "training"},
    "plugins": {"data", "loggers", "model", "tokenizers", "training"},
    "training": {"data", "runtime"},
    "insight": {"data", "model", "runtime", "tokenizers", "training"},
    "generation": {"model", "tokenizers"},
    "interchange": {"chat", "model", "tokenizers"},
    "data": {"chat", "tokenizers"},
    "chat": {"tokenizers"},
    "runtime": set(),
    "model": set(),
    "tokenizers": set(),
    "loggers": set(),
    "pages": set(),
    "section": set(),
    "atomic": set(),
    "native": set(),
    "errors": set(),
}
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path):
    """Return a file as Python reads it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Return the gptkit rooms and the outside packages that a file imports, wherever it does."""
    rooms, packages = set(), set()
    for node in ast.walk(tree(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
            if node.module == "gptkit":
                names = [f"gptkit.{alias.name}" for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "gptkit":
                rooms.add(rest.partition(".")[0])
            else:
                packages.add(name)
    return rooms, packages


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_the_rooms_below_it(path):
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return

    rooms, _ = imports(path)

    assert rooms - {"__version__"} <= MAY_IMPORT[room] | GROUND | {room}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_only_the_runtime_imports_torch_distributed():
    users = {
        room_of(path) for path in FILES if any("torch.distributed" in p for p in imports(path)[1])
    }

    assert users <= {"runtime"}


def test_nothing_is_pickled():
    users = [path for path in FILES if imports(path)[1] & {"pickle", "marshal", "shelve", "dill"}]

    assert users == []


def users():
    """Return, by (module, name), the files that import a name from a module of gptkit."""
    found = {}
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    place = path.relative_to(PACKAGE).as_posix()
                    found.setdefault((node.module, alias.name), set()).add(place)
    return found


def test_there_is_one_loop_one_evaluator_and_one_writer_of_checkpoints():
    """Fine-tuning, LoRA and preference tuning differ in batches, objective and what learns."""
    found = users()

    assert found["gptkit.training.loop", "train"] == {"recipes/train/session.py"}
    # A plan times a few steps and throws them away.
    steps = {"training/loop.py", "recipes/plan/trial.py"}
    assert found["gptkit.training.step", "train_step"] == steps
    assert found["gptkit.training.evaluate", "evaluate"] == {"recipes/train/batches.py"}
    assert found["gptkit.training.evaluate", "score_batches"] == {"training/preference.py"}
    # An import writes the first checkpoint of a run that has none.
    writers = {"recipes/train/beside.py", "recipes/interchange/import_hf.py"}
    assert found["gptkit.checkpoint.store", "save"] == writers
