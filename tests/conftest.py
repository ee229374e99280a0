"""What every test shares: who runs where, in which order, and a loud list of what was not tested here, and why.

Three workers share the two cores, for much of a test is waiting. One has the cluster to itself, and begins with it;
what takes long begins early, so that no worker is left alone with it at the end. A single worker takes the levels one
after the other.
"""

import gc
import signal
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# how long a test takes says how busy the machine is: none fails by it
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # begun by a shell with '&': the programs that are to be stopped by it would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.servers", "tests.fixtures.volumes", "tests.fixtures.rigs"]

_ORDER = {"unit": 0, "contract": 1, "integration": 2, "e2e": 3}
#: The life of a second cluster in namespaces of its own: the one file of e2e that needs no stage.
_LIFE = "tests/e2e/test_cluster_life.py"
#: Each test of these is a piece of work by itself: half a minute and more, on servers that any worker has. Those that
#: fork come before those that make the worker large, for a fork copies what tells of its memory.
_LONG = tuple(
    f"tests/integration/{name}.py"
    for name in (
        "test_faults_killed",
        "test_restore_modes_mysql",
        "test_restore_modes_postgresql",
        "test_hostile_names",
        "test_faults_memory",
        "test_round_trip_kinds",
    )
)


def _level(item: pytest.Item) -> str:
    parts = item.path.parts
    return next((level for level in _ORDER if level in parts), "unit")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _on_the_cluster(nodeid: str) -> bool:
    return nodeid.startswith(("tests/contract/", "tests/e2e/")) and _file(nodeid) != _LIFE


def _turn(item: pytest.Item) -> int:
    """Return when it is an item's turn where several workers share the tests."""
    if _on_the_cluster(item.nodeid):
        return 0
    file = _file(item.nodeid)
    turns = (_LIFE, _LONG[0], "unit", *_LONG[1:])
    known = [one for one in (file, _level(item)) if one in turns]
    return 1 + (turns.index(known[0]) if known else len(turns))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark by folder, and bring the tests into their order."""
    for item in items:
        level = _level(item)
        if level in {"integration", "e2e"}:
            item.add_marker(level)
    items.sort(key=lambda item: _ORDER[_level(item)])
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Leave what the collection made out of every later search for garbage, and of what a fork has to copy."""
    gc.collect()
    gc.freeze()


class _ClusterAlone(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """All tests on the cluster are one piece of work, for they share its stage; else a file is one, or a long test."""

    def _split_scope(self, nodeid: str) -> str:
        if _on_the_cluster(nodeid):
            return "the cluster"
        return nodeid if _file(nodeid) in _LONG else _file(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give each worker pieces of work, in the order of the tests."""
    config.option.loadscopereorder = False
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
