"""The notes about backups: they come back as they were written, and no damage goes unnoticed."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.notes import Acceptance, Notes, PinNote, parse_notes

AT = datetime(2026, 11, 21, 3, tzinfo=UTC)
PIN = PinNote(backup="shop_20261121_030000_full", reason="audit 2026", until=None, by="ada", at=AT)
NOTES = (
    Notes()
    .with_pin(PIN)
    .with_accepted([Acceptance(what="anomaly", backup="x", finding="rows fell", by="ada", at=AT)])
    .after_check("db/demo/x.sql.gz", "the checksum is not that of its metadata", AT)
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
pins = st.builds(
    PinNote, backup=texts, reason=texts, until=st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
    by=texts, at=st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip


@given(st.lists(pins, max_size=4))
def test_they_come_back_as_they_were_written(made: list[PinNote]) -> None:
    notes = Notes()
    for pin in made:
        notes = notes.with_pin(pin)
    data = notes.to_json()
    assert parse_notes(data) == notes
    assert json.loads(data)["version"] == 1
    assert len({pin.backup for pin in notes.pins}) == len(notes.pins)


def test_every_flipped_bit_and_every_truncation_is_found() -> None:
    data = NOTES.to_json()
    for position in range(len(data)):
        with pytest.raises(ValueError, match=r"seal|version|JSON"):
            parse_notes(data[:position])
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(ValueError, match=r"seal"):
                parse_notes(bytes(flipped))


def test_a_field_of_a_later_version_is_kept_and_a_later_format_refused() -> None:
    later = NOTES.model_copy(update={"colour": "blue"})
    assert b'"colour": "blue"' in parse_notes(later.to_json()).without_pin(PIN.backup).to_json()
    with pytest.raises(ValueError, match="version"):
        parse_notes(NOTES.model_copy(update={"version": 2}).to_json())


def test_the_last_word_about_a_backup_counts() -> None:
    again = PIN.model_copy(update={"reason": "lawsuit"})
    assert NOTES.with_pin(again).pins == (again,)
    assert NOTES.without_pin(PIN.backup).pin_of(PIN.backup) is None
    assert NOTES.accepted_backups == {"x"}
    assert NOTES.after_check("db/demo/x.sql.gz", "", AT).damaged == ()
