"""Several writers of one tree in one second: nobody loses, nobody overwrites, and the three files stay together."""

import threading
from functools import partial
from pathlib import Path

from tests.unit.storage.support import NOW, assert_whole, back_up, later, run_once, together, tree

from vya_backupdb.domain.ids import RunId


def test_processes_that_publish_in_the_same_second(tmp_path: Path) -> None:
    def story(name: str) -> None:
        one = tree(tmp_path)
        for number in range(5):
            run_once(one, "chinook", run=f"{name}-{number}")
            run_once(one, None, run=f"{name}-{number}")

    together([partial(story, f"run-{number}") for number in range(4)])
    backups = assert_whole(tmp_path)
    assert len(backups) == 40
    assert len({stored.id for stored in backups}) == 40


def test_a_writer_a_deleter_and_a_reader(tmp_path: Path) -> None:
    run_once(tree(tmp_path), "chinook", later(0))

    def writer(name: str) -> None:
        one = tree(tmp_path)
        for number in range(15):
            run_once(one, "chinook", later(86400 * (number % 3 + 1)), run=f"{name}-{number}")

    def deleter() -> None:
        one = tree(tmp_path)
        for _round in range(40):
            for stored in one.backups()[1:]:
                one.delete(stored, now=NOW)

    def reader() -> None:
        one = tree(tmp_path)
        for _round in range(100):
            assert all(stored.problem is None for stored in one.backups())

    together([lambda: writer("a"), lambda: writer("b"), deleter, reader])
    assert len(assert_whole(tmp_path)) >= 1


def test_threads_of_one_run(tmp_path: Path) -> None:
    one = tree(tmp_path)
    errors: list[BaseException] = []

    def work(database: str) -> None:
        try:
            for _number in range(5):
                back_up(one, database)
                one.recover()
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            errors.append(error)

    with one.lock_run(RunId("run-1")):
        one.claim("ns/shop", None)
        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "A", "chinook")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert len(assert_whole(tmp_path)) == 20


def test_two_runs_recover_around_each_other(tmp_path: Path) -> None:
    def story(name: str) -> None:
        one = tree(tmp_path)
        for number in range(20):
            with one.lock_run(RunId(f"{name}-{number}")):
                one.recover()
                back_up(one, "chinook", run=f"{name}-{number}")
                one.recover()

    together([lambda: story("a"), lambda: story("b"), lambda: story("c")])
    tree(tmp_path).claim(None, None)
    assert len(assert_whole(tmp_path)) == 60
