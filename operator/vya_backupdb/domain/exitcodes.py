"""The exit codes of ``vya-backupdb``: the contract between a Job's container and whoever reads its end.

A number never changes its meaning. 0 to 2 are the shell's and Click's own; ours start at 10, in tens by cause.
``retryable`` says whether the same command may succeed later without anyone changing its input; a Job's
``podFailurePolicy`` is built from it, so that the two sides cannot disagree. An unknown code is a failure.
"""

from enum import Enum


class ExitCode(int, Enum):
    """An exit code with its meaning, whether a retry can help, and the reason that conditions show for it."""

    reason: str
    retryable: bool
    meaning: str

    def __new__(cls, code: int, reason: str, retryable: bool, meaning: str) -> "ExitCode":
        """Return the member for `code`, carrying the three attributes."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.reason = reason
        member.retryable = retryable
        member.meaning = meaning
        return member

    OK = 0, "Succeeded", False, "everything that was asked for was done"
    UNEXPECTED = 1, "Unexpected", True, "an error that the program does not know; the log has its traceback"
    USAGE = 2, "Usage", False, "the command line was wrong"

    INVALID_CONFIGURATION = 10, "InvalidConfiguration", False, "the configuration file is missing or wrong"
    CREDENTIALS_MISSING = 11, "CredentialsMissing", True, "a Secret, a key of it, or the credentials file is not there"
    CREDENTIALS_UNREADABLE = 12, "CredentialsUnreadable", True, "no key of the keyring opens the token"
    CLIENT_MISSING = 13, "ClientMissing", False, "no installed client program fits the server"
    NOT_FOUND = 14, "NotFound", False, "the named instance, database or backup does not exist"

    CONNECTION_FAILED = 20, "ConnectionFailed", True, "the server cannot be reached"
    AUTHENTICATION_FAILED = 21, "AuthenticationFailed", True, "the server refused the user or the password"
    TLS_FAILED = 22, "TLSFailed", True, "the encrypted connection could not be made or verified"
    PRIVILEGE_MISSING = 23, "PrivilegeMissing", True, "the account may not do what is needed"
    WRONG_SERVER = 24, "WrongServer", False, "the server is another product than the configuration says"
    BUSY = 25, "Busy", True, "another run holds the database, or the tree, until the deadline"
    NOTHING_VISIBLE = 26, "NothingVisible", True, "the server shows the account no database that should be backed up"

    STORAGE_UNAVAILABLE = 30, "StorageUnavailable", True, "the backup volume cannot be read or written"
    NO_SPACE = 31, "NoSpace", True, "the backup volume is full, or would be"
    TREE_OWNED_BY_ANOTHER = 32, "TreeOwnedByAnother", False, "another instance writes into this tree"
    BACKUP_CORRUPT = 33, "BackupCorrupt", False, "the backup's files do not match its metadata"
    AUDIT_UNAVAILABLE = (
        34,
        "AuditUnavailable",
        True,
        "the audit log cannot be read, or cannot be written and is required",
    )

    PARTIAL = 40, "PartiallyFailed", True, "some databases were backed up, others failed"
    BACKUP_FAILED = 41, "BackupFailed", True, "no database could be backed up"
    TARGET_EXISTS = 42, "TargetExists", False, "the restore's target exists already"
    RESTORE_FAILED = 43, "RestoreFailed", True, "the restore was cut short or refused; the target is as it was"
    ALREADY_EXECUTED = 44, "AlreadyExecuted", False, "this restore ran before, or may have"
    RETENTION_FROZEN = 45, "RetentionFrozen", True, "nothing was deleted, because the plan could not be trusted"
    DEADLINE_EXCEEDED = 46, "DeadlineExceeded", True, "the run did not end in its time"
    INTERRUPTED = 47, "Interrupted", True, "the run was told to stop"
    CHECK_FAILED = 48, "CheckFailed", True, "the check found something that prevents complete backups"
    USERS_PARTIAL = 49, "UsersPartlyRestored", True, "some accounts or grants were restored, the server refused others"
    # the forties are full
    RESTORE_REFUSED = 50, "RestoreRefused", True, "the plan of the restore holds refusals; nothing was touched"
    RESTORE_IMPOSSIBLE = (
        51,
        "RestoreImpossible",
        False,
        "the server refused what the dump holds, and would again; the target is as it was",
    )
    RUN_NAME_TAKEN = 52, "RunNameTaken", False, "another Job of this name has backed up here before; nothing was done"


def of(code: int) -> ExitCode | None:
    """Return the member for `code`, or None for a code that is not ours (137 for SIGKILL, say)."""
    return next((member for member in ExitCode if member.value == code), None)
