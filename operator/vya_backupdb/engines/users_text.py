"""The bytes of a users file, from what an engine read of its server."""

from collections.abc import Sequence

from vya_backupdb.domain import users_forms
from vya_backupdb.domain.users_file import render
from vya_backupdb.engines.accounts import Read
from vya_backupdb.engines.base import UsersDump


def users_dump(read: Read, comments: Sequence[str], preamble: Sequence[str]) -> UsersDump:
    """Return the file for `read`; `comments` tell a person how to load it, `preamble` sets up the session for it."""
    lines = render(read.file, comments=comments, preamble=preamble)
    found = users_forms.stray(read.file)
    # better known now than when the accounts are needed
    odd = () if found is None else (f"a restore by us refuses the users file, {users_forms.told(read.file, found)}",)
    return UsersDump((line.encode("utf-8", "surrogatepass") for line in lines), read.info(), (*read.warnings, *odd))
