"""The operator as a process of this machine, with no right but those of its role: quick to start, easy to kill."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]


class Operator:
    """One run of ``python -m vya_backupdb.controller``."""

    def __init__(self, kubeconfig: Path, *arguments: str) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(CHECKOUT / "operator"),
        }
        argv = (sys.executable, "-m", "vya_backupdb.controller", "--log-format=text", *arguments)
        self._process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environ, cwd="/")
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line.rstrip("\n"))

    def wait_for(self, *texts: str, seconds: float = 90) -> str:
        """Return the next line that holds one of `texts`; fail with everything that was said."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                tail = "\n".join(self.said[-40:])
                raise AssertionError(f"the operator did not say {texts} within {seconds} s:\n{tail}") from None
            self.said.append(line)
            if any(text in line for text in texts):
                return line

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        code = self._process.wait(timeout=60)
        self._reader.join(timeout=10)
        assert self._process.stderr is not None
        self._process.stderr.close()
        while not self._lines.empty():
            self.said.append(self._lines.get())
        return code


@contextmanager
def running(kubeconfig: Path, *arguments: str) -> Iterator[Operator]:
    """Run an operator; kill it at the end if it is there still."""
    operator = Operator(kubeconfig, *arguments)
    try:
        yield operator
    finally:
        if operator._process.poll() is None:
            operator.kill()
