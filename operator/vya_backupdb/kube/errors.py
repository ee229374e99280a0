"""What the API server's refusals mean to us. `map_status` is the only place that knows HTTP codes.

KubernetesError
├── Conflict          somebody else was first: observe again
│   └── AlreadyExists   the name is taken
├── NotFound
├── Forbidden         RBAC, a quota, or Pod Security; the message says which
├── Rejected          the object is not valid, or too large: the same request will fail again
├── TooManyRequests   `retry_after` seconds
└── Unavailable       no connection, time-out, 5xx, an expired token
"""

from vya_backupdb.domain.errors import BackupDBError


class KubernetesError(BackupDBError):
    """The root of what a call to the API server may raise. `reason` is fit for a condition."""

    reason = "Retrying"


class Conflict(KubernetesError):
    """The object changed since it was read, or is not the one that was meant."""


class AlreadyExists(Conflict):
    """An object of that name exists."""


class NotFound(KubernetesError):
    """The object, or its kind, does not exist."""


class Forbidden(KubernetesError):
    """The server knows us and does not allow it."""

    reason = "Forbidden"


class Rejected(KubernetesError):
    """The server does not take the object as it is."""

    reason = "Rejected"


class TooManyRequests(KubernetesError):
    """The server asks for a pause of `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(KubernetesError):
    """The server did not answer, or answered that it cannot."""


_BY_STATUS: dict[int, type[KubernetesError]] = {
    400: Rejected,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Unavailable,
    413: Rejected,
    415: Rejected,
    422: Rejected,
}


def map_status(code: int, reason: str, message: str, *, retry_after: float | None = None) -> KubernetesError:
    """Return the error for an HTTP `code`; `reason` is that of the Status object in the body."""
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExists(message)
    if code == 429:
        return TooManyRequests(message, retry_after=retry_after or 1.0)
    return _BY_STATUS.get(code, Unavailable)(message)
