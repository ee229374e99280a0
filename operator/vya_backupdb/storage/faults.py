"""Where errno becomes an error of ours: the only place that says which is "full" and which is "unavailable".

Below this line the storage modules raise plain OSError, because the fallbacks of publishing need the number; each
public entry point wraps its work in `map_os_errors`, so that nobody above ever sees an OSError from the volume.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vya_backupdb.domain.errors import NoSpace, StorageError, StorageUnavailable

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

#: What a file system answers that does not know an operation at all.
UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})

_RIGHTS: Final = "Let the user of this process read and write the whole tree (fsGroup 10001 in a cluster)."
_HINTS: Final = {
    errno.EROFS: "The volume is mounted read-only: see its storage class and the node's kernel log. To restore from it "
    "as it is, name the file (--backup PATH) and a storage.base_path that can be written.",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: "The device reports errors: check the volume before trusting what is on it.",
    errno.ESTALE: "The network share was lost: mount it again.",
    errno.ENOTCONN: "The network share was lost: mount it again.",
    errno.ENOENT: "Mount the volume, or correct storage.base_path.",
    errno.ENOTDIR: "A file or a link stands where a directory belongs; links inside the tree are not followed.",
    errno.ELOOP: "A symbolic link stands inside the tree; links inside the tree are not followed.",
    errno.EFBIG: "The file system does not take files of this size: use another one.",
    errno.ENOLCK: "The volume cannot lock files: enable locking on the share.",
}


def storage_error(error: OSError, doing: str) -> StorageError:
    """Return the error of ours for `error`; `doing` says what was tried, on what ('writing /backups/x')."""
    words = os.strerror(error.errno) if error.errno else str(error)
    message = f"{doing}: {words.lower()}{_where(error, doing)}"
    if error.errno in FULL:
        return NoSpace(message, hint="Enlarge the volume, lower the retention, or raise the quota.")
    return StorageUnavailable(message, hint=_HINTS.get(error.errno or 0, "Check the backup volume."))


def _where(error: OSError, doing: str) -> str:
    """Return which name within what was `doing` it is about, where the system says it: '' else."""
    name = error.filename
    if not isinstance(name, str) or not name or name in doing:
        return ""
    return f" ({name.encode('utf-8', 'backslashreplace').decode()})"


@contextmanager
def map_os_errors(doing: str) -> Iterator[None]:
    """Raise NoSpace or StorageUnavailable for any OSError inside; `doing` as in `storage_error`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing) from error
