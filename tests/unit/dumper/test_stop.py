"""Stopping: by a signal, by the deadline, once."""

import os
import signal

import pytest

from vya_backupdb.domain.errors import DeadlineExceeded, Interrupted
from vya_backupdb.dumper.stop import Stop, watched


def test_the_first_reason_wins_and_each_caller_gets_its_own_exception() -> None:
    stop = Stop()
    stop.now(Interrupted("first", hint="do this"))
    stop.now(DeadlineExceeded("second"))
    caught = []
    for _ in range(2):
        with pytest.raises(Interrupted, match="first") as info:
            stop.check()
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert caught[0].hint == "do this"


def test_what_is_registered_is_killed_once_and_what_comes_later_at_once() -> None:
    stop, killed = Stop(), []
    with stop.killing(lambda: killed.append("ended before")):
        pass
    with stop.killing(lambda: killed.append("early")):
        stop.now(Interrupted("x"))
        stop.now(Interrupted("x"))
    with stop.killing(lambda: killed.append("late")):
        pass
    assert killed == ["early", "late"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with watched(deadline_seconds=None) as stop:
            os.kill(os.getpid(), number)
            with pytest.raises(Interrupted, match=number.name):
                stop.wait(30)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_the_deadline_stops() -> None:
    with watched(deadline_seconds=0.01) as stop, pytest.raises(DeadlineExceeded, match=r"deadline of 0\.01 s"):
        stop.wait(30)


def test_nothing_stops_by_itself() -> None:
    with watched(deadline_seconds=3600) as stop:
        stop.check()
        assert stop.reason is None


@pytest.mark.parametrize(("number", "stops"), [(signal.SIGHUP, False), (signal.SIGINT, False), (signal.SIGTERM, True)])
def test_a_signal_that_the_starter_ignores_stops_only_if_it_means_us(number: signal.Signals, stops: bool) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as nohup does, and a shell for what it starts with '&'
    try:
        with watched(deadline_seconds=None) as stop:
            assert (signal.getsignal(number) is not signal.SIG_IGN) is stops
            os.kill(os.getpid(), number)
            if stops:
                with pytest.raises(Interrupted):
                    stop.wait(30)
        assert (stop.reason is not None) is stops
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
