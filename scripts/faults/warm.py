"""The client of the warm process: it starts, and speaks to, zygote.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

from faults.program import SCRIPTS, Child, Order, clean_environment


class WarmProgram:
    """Children forked from a process that has imported everything; see zygote.py. To be closed."""

    def __init__(self, *, light: bool = False) -> None:
        """light: without torch, for commands that need none."""
        paths = (str(SCRIPTS), os.environ.get("PYTHONPATH", ""))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.zygote", *(["light"] if light else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=SCRIPTS,
            env={**clean_environment(), "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._lock = threading.Lock()
        self._children: dict[int, _WarmChild] = {}
        if not self._answers.readline():
            raise RuntimeError("the warm process ended while it imported gptkit")
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, order: Order) -> Child:
        with self._lock:
            number = len(self._children) + 1
            child = self._children[number] = _WarmChild(self, number)
        self._send(
            {
                "id": number,
                "argv": list(order.argv),
                "cwd": str(order.cwd),
                "environment": {**clean_environment(), **order.environment},
                "stdin": os.devnull,
                "stdout": str(order.out),
                "stderr": str(order.err),
                "file_size_limit": order.file_size_limit,
                "instrument": order.instrument and order.instrument.to_json(),
            }
        )
        if not child.started.wait(60):
            raise RuntimeError("the warm process no longer answers")
        return child

    def close(self) -> None:
        """End the process, and what it started."""
        self._requests.close()
        self._process.wait(10)

    def signal(self, number: int, signal_number: int) -> None:
        """Send a signal to the child with this number, if it still runs."""
        self._send({"id": number, "signal": signal_number})

    def _send(self, request: dict[str, Any]) -> None:
        with self._lock:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()

    def _listen(self) -> None:
        for line in self._answers:
            answer = json.loads(line)
            child = self._children[answer["id"]]
            if "pid" in answer:
                child.pid = answer["pid"]
                child.started.set()
            else:
                child.code = answer["code"]
                child.ended.set()


class _WarmChild:
    def __init__(self, program: WarmProgram, number: int) -> None:
        self._program = program
        self._number = number
        self.pid = 0
        self.code: int | None = None
        self.started = threading.Event()
        self.ended = threading.Event()

    def poll(self) -> int | None:
        return self.code

    def wait(self, seconds: float) -> int:
        if not self.ended.wait(seconds):
            raise TimeoutError
        assert self.code is not None
        return self.code

    def send(self, number: int) -> None:
        self._program.signal(self._number, number)
