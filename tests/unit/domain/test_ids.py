"""Names of Kubernetes objects: short enough, deterministic, never shared."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain import ids
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.exitcodes import ExitCode, of

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", fullmatch=True)
LABEL = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@given(names)
def test_child_names_are_short_and_valid(name: str) -> None:
    for child, limit in ((ids.child_name(name, "backup"), 52), (ids.manual_job_name(name, "v"), 63)):
        assert len(child) <= limit
        assert LABEL.fullmatch(child)


@given(names, names)
def test_two_parents_never_share_a_child(one: str, other: str) -> None:
    assert (one == other) == (ids.child_name(one, "backup") == ids.child_name(other, "backup"))


def test_the_same_trigger_names_the_same_job_and_another_names_another() -> None:
    assert ids.manual_job_name("nightly", "1") == ids.manual_job_name("nightly", "1")
    assert ids.manual_job_name("nightly", "1") != ids.manual_job_name("nightly", "2")


def test_a_claim_does_not_depend_on_the_order_of_keys_but_on_the_spec() -> None:
    assert ids.restore_claim("ns", "r", {"a": 1, "b": 2}) == ids.restore_claim("ns", "r", {"b": 2, "a": 1})
    assert ids.restore_claim("ns", "r", {"a": 1}) != ids.restore_claim("ns", "r", {"a": 2})


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a_b", "a" * 64, "../x", "a\n"])
def test_a_run_id_is_a_dns_label(text: str) -> None:
    with pytest.raises(ConfigurationError):
        ids.run_id(text)


def test_exit_codes_are_unique_stable_and_known() -> None:
    assert {code.value for code in ExitCode} >= {0, 1, 2, 10, 21, 31, 40, 44}
    assert len({code.reason for code in ExitCode}) == len(ExitCode)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", code.reason) for code in ExitCode)
    assert all(code.value < 126 for code in ExitCode)
    assert of(21) is ExitCode.AUTHENTICATION_FAILED
    assert of(137) is None
