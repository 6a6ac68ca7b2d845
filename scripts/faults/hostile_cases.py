"""The hostile checkpoints: what is done to a good one, and who has to refuse it then."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.project import RUN

CANARY = "canary"
_HARM = f"echo harm > {CANARY}"
_EVIL_PLUGIN = f"open({CANARY!r}, 'w').write('harm')\n"

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    name: str
    change: Change
    """Is given the checkpoint's folder."""
    seal: bool = True
    """Whether the manifest is made anew afterwards."""
    reads: tuple[str, ...] = ("sample", "train")
    """The commands that must refuse it."""


class _Pickled:
    """Unpickling it runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (_HARM,)


def _pickle() -> bytes:
    import pickle

    return pickle.dumps(_Pickled())


def _file(name: str, content: bytes) -> Change:
    def change(checkpoint: Path) -> None:
        path = checkpoint / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    return change


def _header(content: bytes, claimed: int | None = None) -> Change:
    length = len(content) if claimed is None else claimed
    return _file("model.safetensors", length.to_bytes(8, "little") + content)


def _large(name: str, num_bytes: int) -> Change:
    def change(checkpoint: Path) -> None:
        with (checkpoint / name).open("wb") as file:
            file.truncate(num_bytes)

    return change


def _state(**values: object) -> Change:
    def change(checkpoint: Path) -> None:
        path = checkpoint / "state.json"
        state = json.loads(path.read_bytes())
        state["progress"].update(values)
        path.write_text(json.dumps(state), encoding="utf-8")  # NaN as Python writes it

    return change


def _config(lines: str) -> Change:
    """Put lines into config.yaml, in place of the key that they begin with."""

    def change(checkpoint: Path) -> None:
        path = checkpoint / "config.yaml"
        key = lines.partition(":")[0] + ":"
        kept = [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if not line.startswith(key)
        ]
        path.write_text("\n".join([lines, *kept]) + "\n", encoding="utf-8")

    return change


def _carried_plugin(named: str) -> Change:
    def change(checkpoint: Path) -> None:
        _file("plugins/evil.py", _EVIL_PLUGIN.encode())(checkpoint)
        place = f"{RUN}/checkpoints/{checkpoint.name}/plugins/evil.py"
        absolute = str(checkpoint.resolve() / "plugins/evil.py")
        path = {"name": "evil.py", "relative": place, "absolute": absolute}[named]
        _config(f"plugins: [{json.dumps(path)}]")(checkpoint)

    return change


def _named_file(name: str, size: str = "1") -> Change:
    """List another file in the manifest, whose size may be anything that JSON or Python can write."""

    def change(checkpoint: Path) -> None:
        content = _read_manifest(checkpoint)
        content["files"][name] = {"size": "SIZE", "sha256": "0" * 64}
        text = _sealed(content).replace('"SIZE"', size)
        (checkpoint / "MANIFEST.json").write_text(text, encoding="utf-8")

    return change


def _link(name: str) -> Change:
    def change(checkpoint: Path) -> None:
        outside = checkpoint.parents[2] / "outside"
        shutil.move(checkpoint / name, outside)
        (checkpoint / name).symlink_to(outside)

    return change


def _pipe(checkpoint: Path) -> None:
    (checkpoint / "state.json").unlink()
    os.mkfifo(checkpoint / "state.json")  # whoever opens it waits for ever


_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
_DEEP = b"[" * 200_000
_OVERFLOW = b'{"a":{"dtype":"F32","shape":[8589934592,4294967296],"data_offsets":[0,0]}}'
_TRAIN = ("train",)

CASES = (
    Case("a pickle as weights", _file("model.safetensors", _pickle())),
    Case("a pickle as optimizer", _file("optimizer.safetensors", _pickle()), reads=_TRAIN),
    Case("a pickle as state", _file("state.json", _pickle()), reads=_TRAIN),
    Case("a pickle as tokenizer", _file("tokenizer.json", _pickle()), reads=("sample",)),
    Case("a header of 2^62 bytes", _header(b"{}", 1 << 62)),
    Case("a header of 200 MB", _large("model.safetensors", 200 << 20)),
    Case("a deep header", _header(b'{"a":' * 200_000)),
    Case("a tensor of 2^65 numbers", _header(_OVERFLOW)),
    Case("a file above the folder", _named_file("../../../canary"), seal=False),
    Case("a file by its full path", _named_file("/etc/hostname"), seal=False),
    Case("a file as Windows names it", _named_file("..\\\\..\\\\canary"), seal=False),
    Case("a size that is NaN", _named_file("more", "NaN"), seal=False),
    Case("a size of 1e400", _named_file("more", "1e400"), seal=False),
    Case("a size below zero", _named_file("more", "-1"), seal=False),
    Case("a deep manifest", _file("MANIFEST.json", _DEEP), seal=False),
    Case("a deep state", _file("state.json", _DEEP), reads=_TRAIN),
    Case("a state that is NaN", _state(step=float("nan")), reads=_TRAIN),
    Case("a step of 10^30", _state(step=10**30), reads=_TRAIN),
    Case("a deep tokenizer", _file("tokenizer.json", _DEEP), reads=("sample",)),
    Case("a tag of Python's", _config(f"x: !!python/object/apply:os.system ['{_HARM}']")),
    Case("a YAML bomb", _file("config.yaml", _BOMB.encode())),
    Case("a plugin by name", _carried_plugin("name"), reads=("sample",)),
    Case("a plugin by its path", _carried_plugin("relative"), reads=("sample",)),
    Case("a plugin by its full path", _carried_plugin("absolute"), reads=("sample",)),
    Case("a link out of the folder", _link("model.safetensors"), seal=False),
    Case("a pipe in place of a file", _pipe, seal=False),
)  # fmt: skip


def seal(checkpoint: Path) -> None:
    """Give a changed checkpoint a manifest that fits."""
    content = _read_manifest(checkpoint)
    content["files"] = {name: _facts(checkpoint / name) for name in _names(checkpoint)}
    (checkpoint / "MANIFEST.json").write_text(_sealed(content), encoding="utf-8")


def _names(checkpoint: Path) -> list[str]:
    paths = (path for path in checkpoint.rglob("*") if path.is_file())
    return [
        path.relative_to(checkpoint).as_posix() for path in paths if path.name != "MANIFEST.json"
    ]


def _facts(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


def _read_manifest(checkpoint: Path) -> dict[str, Any]:
    return dict(json.loads((checkpoint / "MANIFEST.json").read_bytes()))


def _sealed(content: dict[str, Any]) -> str:
    """Return the manifest with its own sha256, as gptkit writes it."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    return json.dumps(content, sort_keys=True, indent=1) + "\n"
