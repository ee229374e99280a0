"""What every test shares: the order (cheap first), and a loud list at the end of what was not tested here, and why."""

from collections.abc import Iterable

import pytest

pytest_plugins = ["tests.servers"]

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
