"""Checks by functions of the database's own: taken off before the rows come, and put back after them.

A dump holds a CHECK in the statement that makes its table. One by a function that looks into another table then meets
the rows before that table has any; one by a function that was made stricter meets rows that were there before. No row
of the table comes in, by hand either. Put back at the end it is judged by the whole, and where rows do not keep it, it
holds for what comes (``NOT VALID``), as it did in effect.

The checks of domains stay: the server puts none back on a domain within an array or a composite.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from vya_backupdb.engines.loader import StatementFailed

#: Parents first: what children have of them goes and comes with theirs. What comes NOT VALID is no trouble.
_CHECKS: Final = b"""
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.quote_ident(x.conname),
      pg_catalog.pg_get_constraintdef(x.oid),
      pg_catalog.quote_nullable(pg_catalog.obj_description(x.oid, 'pg_constraint'))
    FROM pg_catalog.pg_constraint x JOIN pg_catalog.pg_class c ON c.oid = x.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE x.contype = 'c' AND x.conislocal AND x.convalidated AND EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = x.oid
        AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass))
    ORDER BY x.coninhcount, x.oid"""
Row = Sequence[bytes]


class Checks:
    """The checks of one load. `ask` returns the rows of a query, `run` executes a statement or raises."""

    def __init__(
        self, ask: Callable[[bytes], Sequence[Row]], run: Callable[[bytes], None], note: Callable[[str, str], None]
    ) -> None:
        self._ask, self._run, self._note = ask, run, note
        self._off: list[Row] = []

    def take_off(self) -> None:
        """Take off what is there by now. One that the server keeps will judge the rows as they come."""
        for row in self._ask(_CHECKS):
            with suppress(StatementFailed):
                self._run(b"ALTER TABLE %b DROP CONSTRAINT %b" % (row[0], row[1]))
                self._off.append(row)

    def put_back(self) -> None:
        """Put back all that was taken off. Raise StatementFailed if the server does not take one in any way."""
        for table, name, text, comment in self._off:
            add = b"ALTER TABLE %b ADD CONSTRAINT %b %b" % (table, name, text)
            try:
                self._run(add)
            except StatementFailed as error:
                if not error.alone:
                    raise
                self._run(add + b" NOT VALID")
                words = (one.decode("utf-8", "backslashreplace").replace('"', "") for one in (name, table))
                self._note("unvalidated", " of ".join(words))
            if comment != b"NULL":
                self._run(b"COMMENT ON CONSTRAINT %b ON %b IS %b" % (name, table, comment))
