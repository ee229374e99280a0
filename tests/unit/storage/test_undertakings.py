"""The journals of restores: found by their target, never expired with the reports, told when damaged."""

from pathlib import Path

import pytest
from tests.unit.storage.support import HOST, INSTANCE, later, report, tree

from vya_backupdb.domain.errors import StorageUnavailable
from vya_backupdb.domain.undertaking import OnExisting, Phase, Swap, Undertaking
from vya_backupdb.dumper.journal import close

NAME = "vya_0123456789ab"


def journal(run: str, target: str = "shop", second: int = 0, *, stays: bool = False) -> Undertaking:
    return Undertaking(
        run=run,
        target=target,
        asked="x",
        on_existing=OnExisting.RENAME,
        started_at=later(second),
        phase=Phase.PLACED,
        made=NAME,
        marker=NAME,
        swap=Swap(target=target, scratch=NAME, kept="vya_00000000000b", stays=stays),
    )


def test_they_are_found_by_target_oldest_first_and_outlive_the_reports(tmp_path: Path) -> None:
    one = tree(tmp_path)
    assert one.undertakings().all() == []
    saved = [journal("run-b", second=2), journal("run-a", second=1), journal("run-c", "Shop")]
    for each in saved:
        one.undertakings().save(each)
    for number in range(120):
        one.save_run(report(f"later-{number}", number))
    assert len(one.runs()) == 100
    assert tree(tmp_path).undertakings().of("shop") == [saved[1], saved[0]]
    one.undertakings().remove("run-b")
    assert tree(tmp_path).undertakings().all() == [saved[2], saved[1]]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"version": 2}'])
def test_a_damaged_one_is_told_and_stays(tmp_path: Path, damage: bytes) -> None:
    one = tree(tmp_path)
    one.undertakings().save(journal("run-a"))
    path = tmp_path / HOST / INSTANCE / ".runs" / "run-a.restore"
    path.write_bytes(damage)
    with pytest.raises(StorageUnavailable, match=r"run-a\.restore is damaged") as caught:
        one.undertakings().all()
    assert "vya_" in caught.value.hint
    assert path.read_bytes() == damage


def test_a_closed_one_goes_unless_a_former_database_stays(tmp_path: Path) -> None:
    journals = tree(tmp_path).undertakings()
    for run, stays, done in (("a", True, True), ("b", False, True), ("c", True, False)):
        one = journal(run, stays=stays)
        journals.save(one)
        close(journals, one, done=done)
    (left,) = journals.all()
    assert (left.run, left.phase, left.swap and left.swap.kept) == ("a", Phase.KEPT, "vya_00000000000b")
