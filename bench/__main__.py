"""``python -m bench``: prints tables of medians and ratios; see `bench`."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest
from tests.clients import clients_of
from tests.cluster.packages import ensure_packages
from tests.servers import Server, server

from bench import contenders, data
from bench.measure import machine, measure, median, table

#: Plain size where none is asked for; so large that the start of the program, half a second, is not what is measured.
DUMP_MEGABYTES: Final = 4000
RESTORE_MEGABYTES: Final = 1000
GOALS = {"postgres": (1.15, 2.0), "mariadb": (1.5, 3.0)}


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def dump(started: Server, clients: tuple[str, ...], arguments: argparse.Namespace, folder: Path) -> None:
    """Measure dumping one large database."""
    say(f"filling a database of about {arguments.megabytes or DUMP_MEGABYTES} MB")
    data.fill(started, arguments.megabytes or DUMP_MEGABYTES)
    with contenders.dumping(started, clients, folder) as all_of_them:
        found = measure(all_of_them, arguments.runs, say)
    say("\n".join(table(found, contenders.NULL)))
    ours, null, gzip = (median(found[name]) for name in (contenders.OURS, contenders.NULL, contenders.GZIP))
    over, under = GOALS[started.product]
    say(f"ours ÷ client into /dev/null: {ours / null:.2f} (goal: at most {over})")
    say(f"client | gzip -6 ÷ ours: {gzip / ours:.2f} (goal: at least {under})")


def restore(started: Server, clients: tuple[str, ...], arguments: argparse.Namespace, folder: Path) -> None:
    """Measure restoring one large database under another name."""
    say(f"filling a database of about {arguments.megabytes or RESTORE_MEGABYTES} MB")
    data.fill(started, arguments.megabytes or RESTORE_MEGABYTES)
    found = measure(contenders.restoring(started, clients, folder), arguments.runs, say)
    say("\n".join(table(found, contenders.BY_HAND)))
    ours, by_hand = (median(found[name]) for name in (contenders.OUR_RESTORE, contenders.BY_HAND))
    say(f"ours ÷ zcat into the client: {ours / by_hand:.2f}")


def small(started: Server, clients: tuple[str, ...], arguments: argparse.Namespace, folder: Path) -> None:
    """Measure many small databases: our own time is what we take beyond the clients alone."""
    say(f"making {arguments.databases} small databases")
    data.fill_small(started, arguments.databases)
    found = measure(contenders.many(started, clients, folder, arguments.databases), 1, say)
    ours, alone = (median(found[name]) for name in (contenders.OURS, contenders.LOOP))
    each = (ours - alone) / arguments.databases * 1000
    say("\n".join(table(found, contenders.LOOP)))
    say(f"our own time for each database: {each:.0f} ms (goal: below 150 ms)")


WHAT: Final = {"dump": dump, "restore": restore, "small": small}


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=list(WHAT), nargs="*", default=list(WHAT))
    parser.add_argument("--server", action="append", help="an image's name; default: postgres:17 and mariadb:11.8")
    parser.add_argument("--megabytes", type=int, help="plain size; default: 4000 for dump, 1000 for restore")
    parser.add_argument("--databases", type=int, default=1000, help="number of small databases")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    ensure_packages("pigz", "isal", "zstd", say=say)
    for name in arguments.server or ["postgres:17", "mariadb:11.8"]:
        for what in arguments.what:
            say(f"\n{name}, {what}: {machine()}")
            with server(name) as started, tempfile.TemporaryDirectory(prefix="vya-bench-") as folder:
                WHAT[what](started, clients_of(name), arguments, Path(folder))


if __name__ == "__main__":
    try:
        main()
    except pytest.skip.Exception as missing:
        sys.exit(f"error: {missing}")
