"""The queue: one at a time for each key, nothing lost, nothing left behind, and failures that slow down."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.virtual import run

from vya_backupdb.controller.queue import BASE, CAP, Backlog, Workers
from vya_backupdb.kube.errors import Conflict, Forbidden, TooManyRequests
from vya_backupdb.reconcile.world import Decision, Key, Kind

ONE = Key(Kind.INSTANCE, "team", "one")
TWO = Key(Kind.INSTANCE, "team", "two")
WALL = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_many_rings_are_one_piece_of_work() -> None:
    backlog = Backlog()
    for _ in range(1000):
        backlog.ring(ONE, 0)
    assert backlog.take(0) == ONE
    assert backlog.take(0) is None


def test_a_ring_during_the_work_is_one_more_pass_after_it() -> None:
    backlog = Backlog()
    backlog.ring(ONE, 0)
    backlog.take(0)
    backlog.ring(ONE, 1)
    backlog.ring(ONE, 1)
    assert backlog.take(1) is None, "never two at a time"
    backlog.done(ONE, 2, None)
    assert backlog.take(2) == ONE
    backlog.done(ONE, 3, None)
    assert backlog.take(3) is None


def test_what_waits_longest_comes_first_and_an_earlier_ring_wins() -> None:
    backlog = Backlog()
    backlog.ring(ONE, 10)
    backlog.ring(TWO, 5)
    backlog.ring(ONE, 3)
    backlog.ring(ONE, 8)
    assert backlog.take(2) is None
    assert [backlog.take(9), backlog.take(9)] == [ONE, TWO]


def test_a_failure_waits_twice_as_long_each_time_up_to_the_cap_and_success_forgets_it() -> None:
    backlog = Backlog()
    pauses = []
    now = 0.0
    for _ in range(12):
        backlog.ring(ONE, now)
        assert backlog.take(now) == ONE
        pauses.append(backlog.failed(ONE, now))
        now += pauses[-1]
    assert BASE <= pauses[0] <= BASE * 1.2
    assert all(later == pytest.approx(2 * earlier) for earlier, later in pairwise(pauses[:8]))
    assert max(pauses) <= CAP * 1.2
    backlog.take(now)
    backlog.done(ONE, now, None)
    backlog.ring(ONE, now)
    backlog.take(now)
    assert backlog.failed(ONE, now) == pauses[0]


def test_a_wake_up_in_the_past_is_no_busy_loop() -> None:
    backlog = Backlog()
    backlog.ring(ONE, 0)
    backlog.take(0)
    backlog.done(ONE, 100, 50)
    assert backlog.take(100) is None
    assert backlog.next_due() == pytest.approx(100.5)


def test_nothing_is_left_of_an_object_that_is_gone() -> None:
    backlog = Backlog()
    for number in range(1000):
        key = Key(Kind.RESTORE, "team", f"r{number}")
        backlog.ring(key, 0)
        assert backlog.take(0) == key
        backlog.failed(key, 0)
        assert backlog.take(1000) == key
        backlog.done(key, 1000, None)
    assert backlog == Backlog()


@given(
    st.lists(st.tuples(st.sampled_from(["ring", "take", "done", "failed"]), st.sampled_from([ONE, TWO])), max_size=60)
)
def test_no_ring_is_ever_lost(steps: list[tuple[str, Key]]) -> None:
    backlog = Backlog()
    owed: set[Key] = set()
    for now, (step, key) in enumerate(steps):
        if step == "ring":
            backlog.ring(key, now)
            owed.add(key)
        elif step == "take":
            taken = backlog.take(now)
            owed -= {taken} if taken else set()
        elif key in backlog.running:
            backlog.done(key, now, None) if step == "done" else backlog.failed(key, now)
    assert owed <= backlog.due.keys() | backlog.again
    assert not backlog.running & backlog.due.keys()
    assert backlog.again <= backlog.running


class Bell:
    """Workers on virtual time over a script: what each pass of a key does."""

    def __init__(self, *script: Callable[[], Decision]) -> None:
        self.script = list(script)
        self.passes: list[tuple[float, Key]] = []
        self.shown: list[str] = []
        self.beats: list[float] = []
        self.active = 0
        self.workers = Workers(self.work, self.show, self.wall, lambda _: self.beats.append(self.time()))

    def time(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def wall(self) -> datetime:
        """Return a clock that runs with the loop."""
        return WALL + timedelta(seconds=self.time())

    async def work(self, key: Key) -> Decision:
        """Do the next step of the script."""
        self.passes.append((self.time(), key))
        self.active += 1
        assert self.active <= 3
        await asyncio.sleep(0)
        self.active -= 1
        return self.script.pop(0)() if self.script else Decision()

    async def show(self, key: Key, error: Exception) -> None:
        """Note what an object would show."""
        self.shown.append(type(error).__name__)

    def play(self, *keys: Key, seconds: float) -> "Bell":
        """Ring for `keys` and let so much virtual time pass."""

        async def main() -> None:
            tasks = [asyncio.create_task(self.workers.run(f"w{number}")) for number in range(3)]
            for key in keys:
                self.workers.ring(key)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*tasks)

        run(main())
        return self


def fail(error: Exception) -> Callable[[], Decision]:
    """Return a step that raises."""

    def step() -> Decision:
        raise error

    return step


def test_workers_wake_up_when_a_decision_asks_for_it() -> None:
    bell = Bell(lambda: Decision(wake_at=WALL + timedelta(seconds=90))).play(ONE, seconds=200)
    assert [when for when, _ in bell.passes] == [0.0, pytest.approx(90, abs=0.01)]


def test_an_error_is_shown_retried_and_stops_nobody_else() -> None:
    bell = Bell(fail(Forbidden("no")), Decision, fail(ValueError("a bug"))).play(ONE, TWO, seconds=30)
    assert bell.shown == ["Forbidden", "ValueError"]
    times = [when for when, key in bell.passes if key == ONE]
    assert len(times) == 3
    assert times[2] - times[1] > times[1] - times[0]


def test_a_conflict_is_tried_again_soon() -> None:
    bell = Bell(fail(Conflict("changed"))).play(ONE, seconds=10)
    assert [round(when) for when, _ in bell.passes] == [0, 1]


def test_the_servers_own_pause_is_kept() -> None:
    bell = Bell(fail(TooManyRequests("slow down", retry_after=42))).play(ONE, seconds=60)
    assert [when for when, _ in bell.passes] == [0.0, pytest.approx(42)]


def test_a_decision_rings_for_others() -> None:
    bell = Bell(lambda: Decision(ring=(TWO,))).play(ONE, seconds=1)
    assert [key for _, key in bell.passes] == [ONE, TWO]


def test_idle_workers_still_beat() -> None:
    bell = Bell().play(seconds=60)
    assert max(bell.beats) >= 50
    assert len(bell.beats) < 40


def test_a_pass_that_hangs_is_ended_and_told() -> None:
    async def main() -> list[str]:
        shown: list[str] = []

        async def hang(_: Key) -> Decision:
            await asyncio.Event().wait()
            raise AssertionError

        async def show(_: Key, error: Exception) -> None:
            shown.append(type(error).__name__)

        workers = Workers(hang, show, lambda: WALL, lambda _: None)
        workers.ring(ONE)
        with suppress(TimeoutError):
            async with asyncio.timeout(300):
                await workers.run("only")
        return shown

    assert run(main()) == ["TimeoutError"]
