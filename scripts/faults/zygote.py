"""A warm process that forks a real child per command, so that importing torch is paid once.

    harness --- {"id": 3, "argv": [...], "cwd": ..., "environment": ...} --> stdin of the zygote
            <-- {"id": 3, "pid": 4711}, later {"id": 3, "code": -9} ------- its stdout
                                                  | fork
                                            child: a session of its own, gptkit.cli.main()

The zygote runs nothing itself: it has one thread when it forks, so the child lacks none. A signal
goes through it too, {"id": 3, "signal": 9}: only it knows whether the process is still that one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
from typing import Any

from faults.instrument import Instrument, install

Request = dict[str, Any]


def main() -> None:
    """Import, serve until stdin ends; in a child, run the command."""
    _import_everything(light=sys.argv[1:] == ["light"])
    gc.collect()
    gc.freeze()  # the children share these pages for longer
    _run(_serve())


def _import_everything(*, light: bool) -> None:
    """Import all modules of gptkit; light: those that need no torch."""
    if light:
        sys.modules["torch"] = None  # type: ignore[assignment]
    else:
        importlib.import_module("torch._dynamo")  # any optimizer imports it when it is made
    package = importlib.import_module("gptkit")
    for module in pkgutil.walk_packages(package.__path__, "gptkit.", lambda name: None):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # of torch, or of an extra
                importlib.import_module(module.name)
    if light:
        del sys.modules["torch"]


def _serve() -> Request:
    """Answer requests for ever; return in a child only, with what it is to do."""
    ids: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    rest = b""
    _answer({"ready": True})
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(ids)
        if 0 not in ready:
            continue
        read = os.read(0, 1 << 16)
        if not read:
            _leave(ids)
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "signal" in request:
                for pid, number in ids.items():
                    if number == request["id"]:
                        os.kill(pid, request["signal"])
                continue
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                os.close(woken)
                os.close(wake)
                return dict(request)
            ids[pid] = request["id"]
            _answer({"id": request["id"], "pid": pid})


def _reap(ids: dict[int, int]) -> None:
    while ids:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _answer({"id": ids.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _leave(ids: dict[int, int]) -> None:
    for pid in ids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _answer(answer: dict[str, object]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _run(request: Request) -> None:
    """Become the process that a shell would have started for this command."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(request[name], flags, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    limit_file_size(request["file_size_limit"])
    if request["instrument"] is not None:
        install(Instrument.from_json(request["instrument"]))
    sys.argv = ["gptkit", *request["argv"]]
    from gptkit.cli import main as gptkit

    gptkit()


def limit_file_size(num_bytes: int | None) -> None:
    """Let no file of this process grow beyond `num_bytes`: the poor man's full disk."""
    if num_bytes is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python has it: an error, not the end
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


if __name__ == "__main__":
    main()
