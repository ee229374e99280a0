"""Holding back changes of definitions while a dump runs, where that stops nobody's rows.

MySQL has a lock made for it: ``LOCK INSTANCE FOR BACKUP`` (BACKUP_ADMIN) lets every INSERT pass and makes ALTER,
TRUNCATE, DROP, RENAME and changes of accounts wait, on the whole server; several dumps hold it together.
MariaDB has none for us: ``BACKUP STAGE BLOCK_DDL`` can be held by one session of the server only, and stops writes to
every MyISAM and Aria table; ``BACKUP LOCK`` is for one table a session. There, and where the lock is not to be had in
time, the detectors of `my_catalog` decide alone.

The lock belongs to a session of its own and ends with it, also when that session is left alone for an hour.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vya_backupdb.domain.errors import ConnectionFailed, ServerError
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_session import Server, Session

LOCK: Final = "LOCK INSTANCE FOR BACKUP"
_ALONE_SECONDS: Final = 3600


class Guard:
    """What holds changes back; `held` is False where nothing does (any more)."""

    def __init__(self, session: Session | None = None) -> None:
        self._session = session

    @property
    def held(self) -> bool:
        """Whether changes of definitions wait."""
        return self._session is not None

    def keep(self) -> None:
        """Use the session, so that nobody ends it as idle; if it is lost, so is the lock."""
        if self._session is not None:
            try:
                self._session.value("SELECT 1", "keeping the lock on definitions")
            except ConnectionFailed:
                self._session = None


@contextmanager
def guard(server: Server, product: Product, *, wait_seconds: int) -> Iterator[Guard]:
    """Hold changes of definitions back for the block, where the account may and `wait_seconds` are enough."""
    if product == "MariaDB":
        yield Guard()
        return
    with server.session() as session:
        yield Guard(session) if _locked(session, wait_seconds) else Guard()


def _locked(session: Session, wait_seconds: int) -> bool:
    pins = f"SET SESSION lock_wait_timeout = {wait_seconds}, wait_timeout = {_ALONE_SECONDS}"
    session.execute(pins, "setting up the session")
    try:
        session.execute(LOCK, "holding back changes of definitions")
    except ConnectionFailed:
        raise
    except ServerError:
        return False
    return True
