"""The one error tree. Each class knows its exit code; nothing here knows a framework.

BackupDBError
├── ConfigurationError      a field is missing or wrong (names the field and the remedy)
├── CredentialsMissing      a Secret, a key of it, or the credentials file is absent
├── CredentialsUnreadable   a token that no key opens
├── ClientMissing           no client program fits the server
├── NotFound                no such instance, database or backup
├── ServerError
│   ├── ConnectionFailed    name, route, port, time-out, lost connection
│   ├── AuthenticationFailed
│   ├── TLSFailed
│   ├── PrivilegeMissing
│   ├── NothingVisible
│   └── WrongServer
├── Busy                    another run holds the lock
├── StorageError
│   ├── StorageUnavailable
│   ├── NoSpace
│   ├── TreeOwnedByAnother
│   └── BackupCorrupt
├── RunNameTaken            another Job of this name has backed up before
├── DumpFailed              client's exit, marker, bytes, stderr, or a table changed under the dump
├── RestoreError
│   ├── TargetExists
│   ├── RestoreFailed
│   │   └── RestoreImpossible   the server would refuse the same again
│   ├── RestoreRefused      what the plan of a restore forbids, all of it
│   └── AlreadyExecuted
├── RetentionFrozen
│   └── BackupPinned        one backup only, which a person pinned
├── AuditUnavailable        the audit log cannot be written, or read
├── DeadlineExceeded
└── Interrupted
"""

from typing import ClassVar

from vya_backupdb.domain.exitcodes import ExitCode


class BackupDBError(Exception):
    """The root. `message` says what was tried, on what, in lower case; `hint` is one full sentence: the remedy.

    Neither may hold a secret: whoever builds it from foreign text redacts first.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigurationError(BackupDBError):
    """A field of the configuration or of the command line is missing or wrong."""

    exit_code = ExitCode.INVALID_CONFIGURATION


class CredentialsMissing(BackupDBError):
    """A Secret, a key of it, or the credentials file is not there."""

    exit_code = ExitCode.CREDENTIALS_MISSING


class CredentialsUnreadable(BackupDBError):
    """A token that no key of the keyring opens, or a value that cannot be passed on."""

    exit_code = ExitCode.CREDENTIALS_UNREADABLE


class ClientMissing(BackupDBError):
    """No installed client program fits the server; the hint names the package."""

    exit_code = ExitCode.CLIENT_MISSING


class NotFound(BackupDBError):
    """The named instance, database or backup does not exist."""

    exit_code = ExitCode.NOT_FOUND


class ServerError(BackupDBError):
    """Something between us and the database server."""

    exit_code = ExitCode.CONNECTION_FAILED


class ConnectionFailed(ServerError):
    """The server cannot be reached, or went away."""


class AuthenticationFailed(ServerError):
    """The server refused the user or the password."""

    exit_code = ExitCode.AUTHENTICATION_FAILED


class TLSFailed(ServerError):
    """The encrypted connection could not be made or verified."""

    exit_code = ExitCode.TLS_FAILED


class PrivilegeMissing(ServerError):
    """The account may not do what is needed; the hint is the statement that would mend it."""

    exit_code = ExitCode.PRIVILEGE_MISSING


class NothingVisible(ServerError):
    """The server shows the account no database that should be backed up: its rights may have been lost."""

    exit_code = ExitCode.NOTHING_VISIBLE


class WrongServer(ServerError):
    """The server is another product than the configuration says."""

    exit_code = ExitCode.WRONG_SERVER


class Busy(BackupDBError):
    """Another run holds the database or the tree."""

    exit_code = ExitCode.BUSY


class StorageError(BackupDBError):
    """Something on the backup volume."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE


class StorageUnavailable(StorageError):
    """The volume cannot be read or written (read-only, EIO, stale handle, missing directory)."""


class NoSpace(StorageError):
    """The volume is full (ENOSPC, EDQUOT), or less than ``min_free_bytes`` would be left."""

    exit_code = ExitCode.NO_SPACE


class TreeOwnedByAnother(StorageError):
    """Another instance writes into this tree."""

    exit_code = ExitCode.TREE_OWNED_BY_ANOTHER


class BackupCorrupt(StorageError):
    """A backup whose files do not match its metadata, or whose metadata is damaged."""

    exit_code = ExitCode.BACKUP_CORRUPT


class RunNameTaken(BackupDBError):
    """A run's id is its Job's name, and another Job of this name has backed up before."""

    exit_code = ExitCode.RUN_NAME_TAKEN


class DumpFailed(BackupDBError):
    """One database's dump is not to be trusted, and was not published."""

    exit_code = ExitCode.BACKUP_FAILED


class RestoreError(BackupDBError):
    """A restore that did not happen."""

    exit_code = ExitCode.RESTORE_FAILED


class TargetExists(RestoreError):
    """The target exists, and the restore was told not to touch what exists."""

    exit_code = ExitCode.TARGET_EXISTS


class RestoreFailed(RestoreError):
    """The server refused a statement of the dump, or was lost meanwhile; the target is as it was."""


class RestoreImpossible(RestoreFailed):
    """The server does not take what the dump holds, and would not the next time; the target is as it was."""

    exit_code = ExitCode.RESTORE_IMPOSSIBLE


class RestoreRefused(RestoreError):
    """The plan holds something that forbids the restore; nothing was touched."""

    exit_code = ExitCode.RESTORE_REFUSED


class AlreadyExecuted(RestoreError):
    """This restore ran before, or may have: it is not run again."""

    exit_code = ExitCode.ALREADY_EXECUTED


class RetentionFrozen(BackupDBError):
    """Nothing was deleted, because the plan could not be trusted."""

    exit_code = ExitCode.RETENTION_FROZEN


class BackupPinned(RetentionFrozen):
    """A backup that a person pinned: it alone was not deleted."""


class AuditUnavailable(BackupDBError):
    """The audit log cannot be written or read. It ends an operation only where `audit.required` says so."""

    exit_code = ExitCode.AUDIT_UNAVAILABLE


class DeadlineExceeded(BackupDBError):
    """The run did not end in its time."""

    exit_code = ExitCode.DEADLINE_EXCEEDED


class Interrupted(BackupDBError):
    """The run was told to stop (SIGTERM, SIGINT)."""

    exit_code = ExitCode.INTERRUPTED
