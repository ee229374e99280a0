"""What whoever starts the program leaves to it, and must not decide anything."""

import subprocess
import sys

_IGNORING = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
_PROGRAM = """
import subprocess, sys
from vya_backupdb.cli import surroundings
surroundings.prepare()
sys.exit(subprocess.run(["/bin/sh", "-c", "exit 7"]).returncode)
"""


def test_a_client_that_failed_is_known_to_have_failed_where_the_starter_ignores_its_children() -> None:
    argv = (sys.executable, "-c", _IGNORING, sys.executable, "-c", _PROGRAM)
    assert subprocess.run(argv).returncode == 7
