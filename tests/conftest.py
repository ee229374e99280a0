"""What every test shares: who runs where, and a loud list at the end of what was not tested here, and why.

Two workers share the two cores: one has the cluster to itself, the other begins with what is cheap.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.servers", "tests.fixtures.volumes"]

_ORDER = {"unit": 0, "contract": 1, "integration": 2, "e2e": 3}


def _level(item: pytest.Item) -> str:
    parts = item.path.parts
    return next((level for level in _ORDER if level in parts), "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder, and run what is cheap first: a typo should not wait for a cluster."""
    for item in items:
        level = _level(item)
        if level in {"integration", "e2e"}:
            item.add_marker(level)
    items.sort(key=lambda item: _ORDER[_level(item)])


class _ClusterAlone(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """All tests on the cluster are one piece of work, for they share its stage; else a file is one piece."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "the cluster" if file.startswith(("tests/contract/", "tests/e2e/")) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give each worker pieces of work; the largest, the cluster's, first."""
    return _ClusterAlone(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every skipped test with its reason, so that a green run never hides what it did not try."""
    skipped: Iterable[pytest.TestReport] = terminalreporter.getreports("skipped")
    reasons: dict[str, int] = {}
    for report in skipped:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text] = reasons.get(text, 0) + 1
    if reasons:
        terminalreporter.section("NOT TESTED HERE", sep="!", yellow=True)
        for text, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count} test(s): {text}")
