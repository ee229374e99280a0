"""What dump clients say on stderr: which lines are known to be harmless, and what a failure means.

Everything else fails the dump and is quoted: a warning that nobody knew of was, in other tools, the only trace of a
table that was missing. ``allowed_stderr`` of the configuration accepts more.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from vya_backupdb.domain.errors import DumpFailed

#: The operating system's collations changed: indexes may need a rebuild, the dump does not. A server's three lines.
_POSTGRESQL: Final = (
    r'WARNING:  database ".*" has a collation version mismatch',
    r"DETAIL:  The database was created using collation version .*",
    r"HINT:  Rebuild all objects in this database that use the default collation and run ALTER DATABASE .*",
)
_MYSQL: Final = (
    # MariaDB 11.4 and later, where the account has no password and so nothing to prove the certificate with
    r"WARNING: option --ssl-verify-server-cert is disabled, because of an insecure passwordless login\.",
    # MariaDB's program under the name that Oracle's has
    r".*: Deprecated program name\. It will be removed in a future release, use '.*' instead",
)
HARMLESS: Final = {"postgresql": _POSTGRESQL, "mysql": _MYSQL}

_HINT_KILLED: Final = "Run it again; if memory ran out, raise the limit of the pod or the machine."
_HINT_UNKNOWN: Final = "See the log of the database server."
_QUOTED_LINES: Final = 5
_HINTS: Final = (
    (
        r"query would be affected by row-level security",
        "Grant the account BYPASSRLS: without it rows would be missing.",
    ),
    (r"permission denied for|[Aa]ccess denied", "Grant the backup account what the message names."),
    (r"out of shared memory|max_locks_per_transaction", "Raise max_locks_per_transaction on the server."),
    (
        # pg_dump waits for its locks under a statement_timeout, the only one that it does not switch off
        r"canceling statement due to (?:lock|statement) timeout|Lock wait timeout exceeded",
        "A table was locked for longer than timeouts.lock_seconds; run it again later.",
    ),
    (
        r"due to conflict with recovery|due to recovery conflict",
        "Set hot_standby_feedback = on on the standby, raise its max_standby_streaming_delay, or back up the primary.",
    ),
    (
        # all that pg_dump is told of it: the session is ours
        r'snapshot ".*" does not exist|invalid snapshot identifier',
        "The snapshot's session was ended: on a standby set hot_standby_feedback = on, else see the server's log.",
    ),
    (
        r"references invalid table|definer .* does not exist|\(1449\)|\(1356\)",
        "Drop or mend the view or routine that the message names.",
    ),
    (
        r"invalid memory alloc request size",
        "A value of that table is larger than 1 GB as text (500 MB of bytea): split it, or make it a large object.",
    ),
    (
        r"transaction-precise history",
        "MariaDB's client cannot dump that table's history: let its row start and end be TIMESTAMP(6) columns.",
    ),
    (
        r"Unable to open underlying table|\(1168\)",
        "Drop the MERGE table that the message names, or mend the tables that it is over.",
    ),
    (r"Table definition has changed|\(1412\)", "A table was altered under the dump; run it again."),
    (
        # MariaDB's client alone has no way to ask its server for more patience
        r"Lost connection to (?:MySQL )?server during query when dumping",
        "See the server's log; if the volume was slow, raise net_write_timeout on the server.",
    ),
    (r"Lost connection|server closed the connection|terminating connection", "See the server's log."),
    (r"max_allowed_packet", "A row is larger than the server's max_allowed_packet; raise it."),
    (r'role ".*" does not exist', "Load the users file of the same run first, or create the role."),
    (r"database is being accessed by other users|No space left on device", "See the server's log."),
)


def unknown_lines(text: str, known: Iterable[str], redact: Callable[[str], str]) -> list[str]:
    """Return the lines of `text`, redacted, that no pattern of `known` matches in full; blank ones are no lines."""
    patterns = [re.compile(pattern) for pattern in known]

    def known_line(line: str) -> bool:
        return not line or any(pattern.fullmatch(line) for pattern in patterns)

    # redacted before it is stripped: a secret may end in blanks
    return [redact(line).strip() for line in text.splitlines() if not known_line(line.strip())]


def dump_failure(client: str, database: str, exit_code: int, text: str, redact: Callable[[str], str]) -> DumpFailed:
    """Return the error for a dump client's end, with the first lines that it said."""
    message, hint = _failure(f"dumping {database!r}: {client}", exit_code, text, redact)
    return DumpFailed(message, hint=hint)


def _failure(doing: str, exit_code: int, text: str, redact: Callable[[str], str]) -> tuple[str, str]:
    ended = f"ended with exit code {exit_code}" if exit_code >= 0 else f"was killed by signal {-exit_code}"
    lines = [line.strip() for line in redact(text).splitlines() if line.strip()]
    # MariaDB's client quotes the whole statement before it says what is wrong with it
    faults = [line for line in lines if re.search(r"\b(?:error|fatal|panic)\b", line, re.IGNORECASE)]
    said = f": {'; '.join((faults or lines)[:_QUOTED_LINES])}" if lines else " and said nothing"
    hint = hint_for(text, _HINT_KILLED if exit_code < 0 else _HINT_UNKNOWN)
    return f"{doing} {ended}{said}", hint


def hint_for(text: str, unknown: str = _HINT_UNKNOWN) -> str:
    """Return the remedy for what a client or a server said, and `unknown` for what we have no remedy for."""
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), unknown)
