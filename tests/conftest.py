"""What every test shares: who runs where, and a loud list at the end of what was not tested here, and why.

Two workers share the two cores: one has the cluster to itself, the other begins with what is cheap.
"""

import os
from collections.abc import Iterable

import pytest

pytest_plugins = ["tests.servers"]

_ORDER = {"unit": 0, "contract": 1, "integration": 2, "e2e": 3}


def _level(item: pytest.Item) -> str:
    parts = item.path.parts
    return next((level for level in _ORDER if level in parts), "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder, and order: cheap first; among several workers the cluster's first, for it takes longest."""
    for item in items:
        level = _level(item)
        if level in {"integration", "e2e"}:
            item.add_marker(level)
        # tests on the cluster share its stage; the others share a module's servers
        group = "cluster" if level in {"contract", "e2e"} else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
    several = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: -1 if several and _level(item) in {"contract", "e2e"} else _ORDER[_level(item)])


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
