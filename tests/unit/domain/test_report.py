"""The report fits the termination message whatever it holds, and what fails stands first."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.report import (
    TERMINATION_MESSAGE_BYTES,
    DatabaseRow,
    Finding,
    RunReport,
    Totals,
    parse_report,
)

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def report(rows: tuple[DatabaseRow, ...] = (), message: str = "done", findings: tuple[Finding, ...] = ()) -> RunReport:
    return RunReport(
        operation="backup",
        run="nightly-backup-29391234",
        reason="Succeeded",
        message=message,
        exit_code=0,
        started_at=NOW,
        totals=Totals(databases=len(rows)),
        databases=rows,
        findings=findings,
    )


rows = st.builds(
    DatabaseRow,
    name=st.text(max_size=80),
    status=st.sampled_from(["success", "failed", "skipped"]),
    error=st.none() | st.text(max_size=900),
    size_bytes=st.integers(min_value=0, max_value=2**63 - 1),
)
findings = st.builds(Finding, reason=st.just("X"), message=st.text(max_size=2000))


@given(st.lists(rows, max_size=80), st.text(max_size=9000), st.lists(findings, max_size=20))
def test_it_always_fits_and_can_be_read_again(some: list[DatabaseRow], message: str, found: list[Finding]) -> None:
    data = report(tuple(some), message, tuple(found)).to_termination_message()
    assert len(data) <= TERMINATION_MESSAGE_BYTES
    again = parse_report(data)
    assert again is not None
    assert len(again.databases) + again.omitted == len(some)
    assert again.totals.databases == len(some)


def test_failures_come_first_and_are_the_last_to_go() -> None:
    some = [DatabaseRow(name=f"d{n:04}", status="success", size_bytes=n) for n in range(1000)]
    some[700] = DatabaseRow(name="bad", status="failed", error="boom")
    again = parse_report(report(tuple(some)).to_termination_message())
    assert again is not None
    assert again.databases[0].name == "bad"
    assert len(again.databases) > 15
    assert again.omitted == 1000 - len(again.databases)


@pytest.mark.parametrize("text", ["", "OOMKilled", "{", "[]", '{"version": 2}', b"\xff\xfe"])
def test_what_is_no_report_is_none(text: str | bytes) -> None:
    assert parse_report(text) is None
