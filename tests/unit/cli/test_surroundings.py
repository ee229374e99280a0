"""What whoever starts the program leaves to it, and must not decide anything."""

import subprocess
import sys

_IGNORING = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
_MASKED = """
import os, sys
from vya_backupdb.cli import surroundings
os.umask(0o722)
surroundings.prepare()
sys.exit(os.umask(0))
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


def test_a_umask_takes_nothing_from_the_owner_and_as_much_as_before_from_others() -> None:
    assert subprocess.run((sys.executable, "-c", _MASKED)).returncode == 0o022
