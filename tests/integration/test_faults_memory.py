"""Memory: what goes through our own process does not stay in it, both ways, whatever its size.

All that we are, with our modules, SQLAlchemy and a driver, may take 64 MiB more than a bare Python that does nothing
(10 MiB); of that the way of the bytes takes less than 4.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
from tests.fixtures.faulty import HEAD, MARKER, VERSION, assert_heals, backup
from tests.fixtures.workspace import PROGRAM, Connect, Workspace

from vya_backupdb.domain.exitcodes import ExitCode

#: Over a bare Python.
ALLOWED_KIB = 64 * 1024
#: From a MiB to a GiB; the way of the bytes holds a few blocks of 256 KiB.
GROWTH_KIB = 8 * 1024
#: For each MiB: 300 where memory goes back to the kernel after each piece.
PAGE_FAULTS = 5
MIB = 1 << 20
GIB = 1 << 30

#: A pg_dump that writes rows as fast as a pipe takes them, after as much on stderr as it is told to.
_FLOOD = """
import os, sys
if "--version" in sys.argv:
    print({version!r})
    sys.exit()
def write(fd, data):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]
write(1, {head!r})
for _ in range({warnings}):
    write(2, b"odd but fine, and a little longer" * 31775)
rows = b"".join(b"%d\\t%032x\\n" % (n, n * 2654435761) for n in range(20000))
for _ in range({size} // len(rows)):
    write(1, rows)
write(1, {tail!r})
"""
_TABLE = 'CREATE TABLE "public"."item" ("id" int, "name" text);\n\nCOPY "public"."item" ("id", "name") FROM stdin;\n'

#: Starts a program and tells the highest memory of its process. (A child of ours would begin with ours.)
_LAUNCHER = """
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write("\\n" + json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_minflt]))
"""


@dataclass(frozen=True)
class Used:
    """How a process ended and what it said on stderr; its highest memory in KiB, and its page faults."""

    code: int
    kib: int
    faults: int
    said: str


def flood(size: int, warnings: int = 0) -> str:
    """Return the text of a client that says `size` bytes of rows, and so many MiB of warnings."""
    head, tail = (HEAD + _TABLE).encode(), ("\\.\n\n" + MARKER).encode()
    return _FLOOD.format(version=VERSION, head=head, tail=tail, size=size, warnings=warnings)


def use_of(argv: tuple[str, ...], environment: dict[str, str]) -> Used:
    """Run a program; return what it used (as for memory, it or a child of its)."""
    launched = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *argv], env=environment, capture_output=True, text=True, check=True
    )
    said, _, told = launched.stderr.rpartition("\n")
    code, kib, faults = json.loads(told)
    return Used(code, kib, faults, said)


@pytest.fixture(scope="module")
def bare_kib() -> int:
    """What Python takes that does nothing."""
    return use_of((sys.executable, "-c", "pass"), {}).kib


@pytest.fixture(autouse=True)
def tokens(workspace: Workspace) -> None:
    """Let credentials be what they are in a cluster: what opens them is a library of 6 MiB."""
    workspace.encrypt_credentials()


def of_program(workspace: Workspace, *arguments: str) -> Used:
    """Run the program as `use_of` does."""
    return use_of((*PROGRAM, *arguments), workspace.environ({"VYA_BACKUPDB_CONFIG": str(workspace.write_config())}))


def use(workspace: Workspace, text: str) -> None:
    """Let pg_dump be a program of this text."""
    folder = workspace.root / "flood"
    if folder.is_dir():
        (folder / "pg_dump").write_text(f"#!{sys.executable}\n{text}")
    else:
        workspace.clients("flood", pg_dump=text)


def test_a_gibibyte_passes_both_ways_and_leaves_no_trace_in_memory(
    workspace: Workspace, database: str, bare_kib: int, connect: Connect
) -> None:
    with connect("shop") as connection:
        # as the flood's table is
        connection.execute("ALTER TABLE item DROP CONSTRAINT item_pkey, ALTER id DROP NOT NULL")
    uses: dict[str, list[Used]] = {"backup": [], "restore": []}
    for size in (MIB, GIB):
        use(workspace, flood(size))
        for argv in (("backup",), ("restore", "--to-database", f"again_{size}")):
            used = of_program(workspace, *argv, "--database", "shop")
            assert used.code == 0, used.said
            uses[argv[0]].append(used)
    newest = json.loads(next(workspace.backups.rglob(f"{workspace.ids('shop')[-1]}.metadata.json")).read_text())
    assert newest["uncompressed_bytes"] > GIB * 0.99
    print(f"bare {bare_kib} KiB; of a MiB and of a GiB: {uses}")
    for small, large in uses.values():
        assert large.kib - small.kib < GROWTH_KIB
        assert large.kib - bare_kib < ALLOWED_KIB
        assert large.faults - small.faults < PAGE_FAULTS * GIB // MIB


def test_a_gibibyte_of_warnings_is_read_and_not_kept(workspace: Workspace, database: str, bare_kib: int) -> None:
    workspace.instance["allowed_stderr"] = ["odd but .*"]
    use(workspace, flood(MIB, warnings=1024))
    used = of_program(workspace, "backup", "--database", "shop")
    assert used.code == ExitCode.BACKUP_FAILED, used.said
    assert used.kib - bare_kib < ALLOWED_KIB


def test_a_value_that_cannot_be_written_as_text_fails_by_name(
    workspace: Workspace, database: str, connect: Connect
) -> None:
    """As 600 MB of bytea do, whose digits pass 1 GB; a string of 2^30 bits does so too, and is made in a moment."""
    with connect(database) as connection:
        connection.execute("CREATE TABLE huge (id int, bits varbit)")
        connection.execute(
            "DO $$ DECLARE b varbit := B'0'; BEGIN FOR n IN 1..30 LOOP b := b || b; END LOOP;"
            " INSERT INTO huge VALUES (1, b); END $$"
        )
    done = backup(workspace)
    assert (done.code, done.row["status"]) == (ExitCode.BACKUP_FAILED, "failed")
    assert 'table "huge"' in done.row["error"]
    assert "make it a large object" in done.row["error"]
    assert workspace.ids(database) == []
    workspace.assert_tidy()
    with connect(database) as connection:
        connection.execute("DROP TABLE huge")
    assert_heals(workspace)
