"""Test workers that install Debian packages at once, with an apt that refuses a second one, as the real one does."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.packages import ensure_packages

# `mkdir` is the lock: the real apt-get ends with 100 while another one holds dpkg's
_APT = """#!/bin/sh
mkdir {folder}/lock 2>/dev/null || exit 100
touch {folder}/installed
for _ in 1 2 3 4 5 6 7 8 9; do /bin/cat /bin/sh > {folder}/work; done
rmdir {folder}/lock
"""
_QUERY = """#!/bin/sh
if [ -e {folder}/installed ] && [ ! -e {folder}/lock ]; then printf installed; fi
"""


def test_workers_that_need_packages_at_once_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("apt-get", _APT), ("dpkg-query", _QUERY), ("sudo", '#!/bin/sh\nshift\nexec "$@"\n')):
        (tmp_path / name).write_text(text.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said: list[str] = []
    with ThreadPoolExecutor(8) as workers:
        for _ in workers.map(lambda _: ensure_packages("mmdebstrap", say=said.append), range(8)):
            pass
    assert said == ["installing Debian packages: mmdebstrap"]
