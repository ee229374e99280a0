"""Work in a process of its own: what comes back, and that nothing else stays."""

import importlib
import os
import resource
import signal
import sys
import threading
from pathlib import Path

import pytest
from tests.unit.storage.support import fork

from vya_backupdb.domain.errors import CredentialsMissing
from vya_backupdb.storage.aside import aside


def test_what_it_loads_does_not_stay() -> None:
    sys.modules.pop("colorsys", None)
    assert aside(lambda: importlib.import_module("colorsys").rgb_to_hsv(0.5, 0.5, 0.5)) == (0.0, 0.0, 0.5)
    assert "colorsys" not in sys.modules


def test_an_error_comes_back_as_it_was() -> None:
    def work() -> None:
        raise CredentialsMissing("the key 'x' is missing", hint="Add it.")

    with pytest.raises(CredentialsMissing) as caught:
        aside(work)
    assert (caught.value.message, caught.value.hint) == ("the key 'x' is missing", "Add it.")
    assert caught.value.__cause__ is caught.value.__context__ is None


def children() -> str:
    """The children of this thread, whoever began them, those that nobody has waited for included."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()


@pytest.mark.parametrize("end", ["killed", "an error of ours"])
def test_where_the_child_does_not_answer_it_is_done_here(end: str) -> None:
    here, before = os.getpid(), children()

    def work() -> int:
        if os.getpid() != here and end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.getpid() != here:
            raise ValueError(end)
        return os.getpid()

    assert aside(work) == here
    assert children() == before


def test_where_no_process_is_to_be_had_it_is_done_here_and_nothing_stays_open() -> None:
    def child() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        if os.geteuid() == 0:  # whom no limit binds
            os.setresuid(65534, 65534, 65534)
        free = os.dup(2)
        os.close(free)
        assert aside(os.getpid) == os.getpid()
        assert os.dup(2) == free

    assert fork(child) == 0


def test_a_signal_to_the_whole_group_is_not_told_twice() -> None:
    here, (reading, writing) = os.getpid(), os.pipe()
    before = signal.signal(signal.SIGTERM, lambda *_: os.write(writing, b"x"))

    def work() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGTERM)
        return os.getpid()

    assert aside(work) == here
    signal.signal(signal.SIGTERM, before)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""


def test_a_child_that_never_ends_is_ended_and_the_work_done_here() -> None:
    """A fork of a process with threads may find a lock that nobody releases."""
    here, before = os.getpid(), children()
    (never, held) = os.pipe()

    def work() -> int:
        if os.getpid() != here:
            os.read(never, 1)
        return os.getpid()

    assert aside(work, patience=0.2) == here
    assert children() == before
    os.close(never)
    os.close(held)


def test_where_the_kernel_keeps_no_children_it_is_done_here() -> None:
    def child() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        assert aside(os.getpid) == os.getpid()

    assert fork(child) == 0


def test_many_open_files_are_no_obstacle() -> None:
    def child() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))
        for _ in range(1500):
            os.dup(2)
        assert aside(os.getpid) != os.getpid()

    assert fork(child) == 0


def test_a_signal_meanwhile_reaches_the_parent_once_and_nothing_climbs_up_in_the_child() -> None:
    """With Python's own handler an interrupt would be raised in both, and both would clean up after themselves."""

    def child() -> None:
        (told, telling), here = os.pipe(), os.getpid()

        def interrupted(*_: object) -> None:
            os.write(telling, b"x")
            raise KeyboardInterrupt

        signal.signal(signal.SIGINT, interrupted)

        def work() -> None:
            if os.getpid() != here:
                os.kill(here, signal.SIGINT)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            aside(work)
        os.close(telling)
        assert os.read(told, 10) == b"x"

    assert fork(child) == 0
