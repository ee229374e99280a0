"""Processes as they misbehave: floods, early ends, signals, children that stay. All of them real."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures import FAKE_DUMPER

from vya_backupdb.domain.errors import ClientMissing, DumpFailed, Interrupted
from vya_backupdb.dumper import process
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.engines.base import Command, Option, SecretFile

SECRET = "quote' \" back\\slash %d # : \n line"


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def scripted(*steps: list[object], extra: tuple[str | SecretFile | Option, ...] = (), **environ: str) -> Command:
    return Command(argv=(str(FAKE_DUMPER), json.dumps(steps), *extra), environ=environ)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "event"
    os.mkfifo(path)
    return path


def test_output_comes_in_full_chunks_and_unchanged() -> None:
    chunks: list[bytes] = []
    ended = process.run(scripted(["out", "0123456789abcde\n", 200_000]), stop=Stop(), on_chunk=chunks.append)
    assert ended.ok
    assert b"".join(chunks) == b"0123456789abcde\n" * 200_000
    assert [len(chunk) for chunk in chunks[:-1]] == [process.PIECE_BYTES] * 12


def test_the_exit_code_and_stderr_are_told() -> None:
    ended = process.run(scripted(["err", "cannot do it\n"], ["exit", 3]), stop=Stop(), on_chunk=lambda _: None)
    assert (ended.returncode, ended.stderr, ended.ok) == (3, "cannot do it\n", False)
    assert ended.describe() == "fake_dumper.py ended with exit code 3"


def test_a_signal_is_named() -> None:
    ended = process.run(scripted(["out", "half"], ["signal", 9]), stop=Stop(), on_chunk=lambda _: None)
    assert ended.describe() == "fake_dumper.py was killed by SIGKILL"


def test_a_flood_on_stderr_neither_blocks_nor_grows() -> None:
    chunks: list[bytes] = []
    command = scripted(["err", "warning\n", 8_000_000], ["err", "the end\n"], ["out", "data"])
    ended = process.run(command, stop=Stop(), on_chunk=chunks.append)
    assert chunks == [b"data"]
    assert len(ended.stderr) < 4 * process.KEPT
    assert ended.stderr.startswith("warning\n")
    assert ended.stderr.endswith("the end\n")
    assert "bytes left out" in ended.stderr


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ClientMissing, match=r"cannot start /nowhere/pg_dump: no such file"):
        process.run(Command(argv=("/nowhere/pg_dump",)), stop=Stop())


def test_nothing_is_inherited_and_secrets_stand_in_files_only(tmp_path: Path) -> None:
    os.environ["SURELY_NOT_FOR_CHILDREN"] = "1"
    secret = SecretFile("options", SECRET.encode())
    command = Command(
        argv=(str(FAKE_DUMPER), json.dumps([["tell", str(tmp_path / "told")]]), Option("--defaults-file=", secret)),
        environ={"PGPASSFILE": secret, "PGAPPNAME": "test"},
    )
    before = open_files()
    assert process.run(command, stop=Stop()).ok
    del os.environ["SURELY_NOT_FOR_CHILDREN"]
    told = json.loads((tmp_path / "told").read_text())
    path = told["environ"]["PGPASSFILE"]
    assert told["argv"][2] == f"--defaults-file={path}"
    assert told["files"] == {path: SECRET}
    assert told["modes"] == {path: "0o600"}
    assert set(told["environ"]) - {"LC_CTYPE"} == {"PATH", "HOME", "LC_ALL", "PGPASSFILE", "PGAPPNAME"}
    assert told["session"]
    # 0, 1, 2, the secret, and the one that listing the directory opened
    assert len(told["fds"]) == 5
    assert "slash" not in str(told["argv"]) + str(told["environ"])
    assert open_files() == before


def test_stdin_is_fed(tmp_path: Path) -> None:
    ended = process.run(
        scripted(["in", str(tmp_path / "fed")], ["out", "done"]), stop=Stop(), feed=(b"x" * 3_000_000, b"end")
    )
    assert (ended.returncode, ended.stdout) == (0, "done")
    assert (tmp_path / "fed").read_bytes() == b"x" * 3_000_000 + b"end"


def test_a_client_that_stops_reading_tells_by_its_exit_code() -> None:
    feed = (b"x" * 1_000_000 for _ in range(1_000))
    ended = process.run(scripted(["read", 10], ["err", "refused"], ["exit", 3]), stop=Stop(), feed=feed)
    assert (ended.returncode, ended.stderr) == (3, "refused")


def test_without_a_feed_stdin_is_empty(tmp_path: Path) -> None:
    assert process.run(scripted(["in", str(tmp_path / "fed")]), stop=Stop()).ok
    assert (tmp_path / "fed").read_bytes() == b""


def test_an_error_of_the_consumer_kills_the_client_and_goes_on(fifo: Path) -> None:
    def full(_chunk: bytes) -> None:
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        process.run(scripted(["out", "x", 2_000_000], ["await", str(fifo)]), stop=Stop(), on_chunk=full)


def test_a_stop_kills_the_whole_group(fifo: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    stop = Stop()

    def stop_when_ready() -> None:
        ready.read_bytes()
        stop.now(Interrupted("enough"))

    helper = threading.Thread(target=stop_when_ready)
    helper.start()
    # the grandchild holds the pipes: killing only the client would leave us reading for ever
    command = scripted(["spawn", str(fifo)], ["announce", str(ready)], ["await", str(fifo)])
    with pytest.raises(Interrupted, match="enough"):
        process.run(command, stop=stop, on_chunk=lambda _: None)
    helper.join()


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    stop = Stop()
    stop.now(Interrupted("enough"))
    with pytest.raises(Interrupted):
        process.run(scripted(["tell", str(tmp_path / "told")]), stop=stop)
    assert not (tmp_path / "told").exists()


def test_ask_gives_what_a_program_says_of_itself() -> None:
    assert process.ask((str(FAKE_DUMPER), json.dumps([["out", "fake_dumper 1.0\n"]])), stop=Stop()) == "fake_dumper 1.0"
    assert process.ask((str(FAKE_DUMPER), json.dumps([["exit", 1]])), stop=Stop()) == ""
    assert process.ask(("/nowhere/pg_dump", "--version"), stop=Stop()) == ""


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = _children()
    yield
    assert _children() <= before


def _children() -> set[str]:
    """Return the pids of this process's children, also of those that have ended and that nobody has waited for."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended: another has its children now
            found |= {*(task / "children").read_text().split()}
    return found


def test_a_client_that_gives_no_byte_is_ended(fifo: Path) -> None:
    chunks: list[bytes] = []
    command = scripted(["out", "half"], ["await", str(fifo)])
    with pytest.raises(DumpFailed, match=r"gave no byte for 0 seconds") as caught:
        process.run(command, stop=Stop(), on_chunk=chunks.append, patience=0.2)
    assert "stall_seconds" in caught.value.hint
    assert chunks == []
