"""What a refusal means, and that the rights are as few as the calls."""

import pytest

from vya_backupdb.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    KubernetesError,
    NotFound,
    Rejected,
    TooManyRequests,
    Unavailable,
    map_status,
)
from vya_backupdb.kube.gateway import RULES


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (422, "Invalid", Rejected),
        (400, "BadRequest", Rejected),
        (413, "", Rejected),
        (401, "Unauthorized", Unavailable),
        (500, "InternalError", Unavailable),
        (503, "", Unavailable),
        (418, "", Unavailable),
    ],
)
def test_each_code_is_one_of_our_errors(code: int, reason: str, expected: type[KubernetesError]) -> None:
    error = map_status(code, reason, "text")
    assert type(error) is expected
    assert error.reason.isalpha()


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    error = map_status(429, "TooManyRequests", "text", retry_after=7)
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == 7


def test_the_operator_has_no_right_on_secrets_logs_or_specs() -> None:
    for rule in RULES:
        assert not {"secrets", "configmaps", "pods/log", "pods/exec", "*"} & {*rule.resources, *rule.verbs}
        assert rule.why
        if rule.group.startswith("backupdb") and not any("/status" in one for one in rule.resources):
            assert set(rule.verbs) <= {"get", "list", "watch"}
