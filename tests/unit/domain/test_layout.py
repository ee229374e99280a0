"""The tree of format 1: where each file stands, what its name tells, and that none is ever too long or taken."""

from datetime import UTC, datetime
from itertools import permutations
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies.names import names, run_ids
from tests.strategies.times import local_moments

from vya_backupdb.domain import layout
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.layout import Part, Tree, parse_file_name, partial
from vya_backupdb.domain.names import RESERVED, encode
from vya_backupdb.domain.structure import DEFAULT_TEMPLATE, parse_structure

TREE = Tree(hostname="db.example", database_id="main")
AT = datetime(2026, 11, 21, 3, 0, 5, tzinfo=UTC)
RUN = RunId("nightly-backup-29391780")
numbers = st.one_of(st.integers(1, 12), st.integers(1, layout.MAX_NUMBER))


def test_the_default_tree() -> None:
    files = TREE.backup("shop", AT)
    directory = "db.example/main/shop/2026-11-21"
    assert str(files.data) == f"{directory}/shop_20261121_030005_full.sql.gz"
    assert str(files.checksum) == f"{directory}/shop_20261121_030005_full.sql.gz.sha256"
    assert str(files.metadata) == f"{directory}/shop_20261121_030005_full.metadata.json"
    assert str(files.tombstone) == f"{directory}/.shop_20261121_030005_full.metadata.json.tombstone"
    assert str(partial(files.data, RUN)) == f"{directory}/.shop_20261121_030005_full.sql.gz.partial-{RUN}"
    assert str(TREE.users(AT).metadata) == "db.example/main/users_20261121_030005.metadata.json"
    assert str(TREE.run_report(RUN)) == f"db.example/main/.runs/{RUN}.json"
    assert str(TREE.failed_backup(RUN, "a/b")) == f"db.example/main/.runs/{RUN}/db_a%2Fb.metadata.json"
    assert str(TREE.failed_backup(RUN, None)) == f"db.example/main/.runs/{RUN}/users.metadata.json"
    assert str(TREE.owner) == "db.example/main/.owner.json"
    assert str(TREE.lock) == "db.example/main/.lock"
    assert str(TREE.restore_claim("prod.undo.0a1b2c3d4e5f")) == "db.example/main/.restores/prod.undo.0a1b2c3d4e5f"
    assert str(TREE.database("shop")) == "db.example/main/shop"


def test_names_bear_the_wall_clock_of_the_schedule_s_zone() -> None:
    files = TREE.backup("shop", AT.astimezone(ZoneInfo("America/New_York")))
    assert str(files.data).endswith("/2026-11-20/shop_20261120_220005_full.sql.gz")
    with pytest.raises(ValueError, match="no zone"):
        TREE.backup("shop", AT.replace(tzinfo=None))


@given(names, names, names, local_moments, numbers, run_ids)
def test_nothing_leaves_the_tree_and_no_name_is_too_long(
    host: str, instance: str, name: str, at: datetime, number: int, run: str
) -> None:
    tree, run_id = Tree(host, instance), RunId(run)
    for files in (tree.backup(name, at, number=number), tree.users(at, number=number)):
        paths = [files.data, files.checksum, files.metadata]
        for path in (*paths, files.tombstone, *files.partials(run_id), tree.failed_backup(run_id, name)):
            assert not path.is_absolute()
            assert not {"..", "."} & set(path.parts)
            assert all(len(part.encode()) <= layout.NAME_MAX for part in path.parts)
            assert path.is_relative_to(tree.instance)
        assert not RESERVED & set(files.directory.parts)
        assert all(part[0] not in ".-" for path in paths for part in path.parts)


def test_the_longest_names_of_all_just_fit() -> None:
    files = TREE.backup("a" * 500, AT, number=layout.MAX_NUMBER)
    assert max(len(path.name) for path in files.partials(RunId("r" * 55))) == layout.NAME_MAX
    assert max(len(path.name) for path in files.partials(RunId("r" * 63))) == layout.NAME_MAX
    assert layout.run_in_name(RunId("r" * 55)) == "r" * 55


@given(run_ids, run_ids)
def test_two_runs_write_under_two_names(one: str, other: str) -> None:
    assert (layout.run_in_name(RunId(one)) == layout.run_in_name(RunId(other))) == (one == other)


@given(st.one_of(st.none(), names), local_moments, numbers, run_ids)
def test_a_file_s_name_tells_what_it_was_made_of(name: str | None, at: datetime, number: int, run: str) -> None:
    files = TREE.users(at, number=number) if name is None else TREE.backup(name, at, number=number)
    for part, path in zip(Part, (files.data, files.checksum, files.metadata), strict=True):
        found = parse_file_name(path.name)
        assert found is not None
        assert (found.stem, found.part, found.number) == (files.stem, part, number)
        assert found.wall_clock == at.replace(tzinfo=None, fold=0)
        assert found.component == (None if name is None else encode(name))
        assert found.is_users == (name is None)
        assert found.is_final
        hidden = parse_file_name(partial(path, RunId(run)).name)
        assert hidden is not None
        assert (hidden.stem, hidden.part, hidden.run) == (files.stem, part, layout.run_in_name(RunId(run)))
        assert not hidden.is_final
    grave = parse_file_name(files.tombstone.name)
    assert grave is not None
    assert grave.tombstone
    assert (grave.stem, grave.part) == (files.stem, Part.METADATA)


@pytest.mark.parametrize(
    "name",
    [
        "", "shop.sql.gz", "shop_20261121_030005.sql.gz", "users_20261121_030005_full", "users_20261321_030005.sql.gz",
        "shop_20261121_250005_full.sql.gz", "shop_20261121_030005_full_1.sql.gz", "shop_20261121_030005_full_02.sql.gz",
        "shop_20261121_030005_full_10000.sql.gz", "a b_20261121_030005_full.sql.gz", "_20261121_030005_full.sql.gz",
        "shop_20261121_030005_full.sql.gz.md5", "shop_20261121_030005_full.sql.gz\n",
        ".shop_20261121_030005_full.sql.gz",
        ".shop_20261121_030005_full.sql.gz.tombstone", ".shop_20261121_030005_full.sql.gz.partial-",
        "-x_20261121_030005_full.sql.gz",
        ".shop_20261121_030005_full.sql.gz.partial-A", "shop_٢٠٢٦١١٢١_030005_full.sql.gz", ".owner.json", ".lock",
    ],
)  # fmt: skip
def test_what_is_not_ours_is_not_read(name: str) -> None:
    assert parse_file_name(name) is None


@given(names, local_moments, st.lists(st.sampled_from(["data", "checksum", "metadata", "tombstone"]), max_size=4))
def test_a_taken_name_is_never_used_again(name: str, at: datetime, parts: list[str]) -> None:
    taken: list[str] = []
    for part in parts:
        files = TREE.free_backup(name, at, taken=taken)
        assert not {files.data.name, files.checksum.name, files.metadata.name, files.tombstone.name} & set(taken)
        taken.append(getattr(files, part).name.swapcase())
    assert TREE.free_backup(name, at, taken=taken) == TREE.backup(name, at, number=len(parts) + 1)
    assert TREE.free_users(at, taken=[TREE.users(at).data.name]) == TREE.users(at, number=2)


def test_in_byte_order_a_backup_s_files_stand_together_and_a_repeated_second_s_after_the_first() -> None:
    listing = sorted(
        path.name for number in range(1, 10) for files in (TREE.backup("shop", AT, number=number),)
        for path in (files.data, files.checksum, files.metadata)
    )  # fmt: skip
    stems = [found.number for found in map(parse_file_name, listing) if found]
    assert stems == [number for number in range(1, 10) for _ in Part]


def test_a_database_cannot_stand_where_a_users_file_is_to_be() -> None:
    assert TREE.database(TREE.users(AT).data.name) != TREE.users(AT).data
    assert TREE.backup("users", AT).data.name == "users_20261121_030005_full.sql.gz"


def test_the_checksum_line_is_that_of_sha256sum() -> None:
    assert layout.checksum_line("ab" * 32, TREE.users(AT).data) == "ab" * 32 + "  users_20261121_030005.sql.gz\n"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("", "empty segment"),
        ("/{db_id}/{db_name}", "empty segment"),
        ("{db_id}//{db_name}", "empty segment"),
        ("{hostname}/{db_name}/{date}", "lacks {db_id}"),
        ("{hostname}/{db_id}/{date}", "lacks {db_name}"),
        ("{db_id}/{db_name}/{day}", "{day} is not a placeholder"),
        ("{db_id}-{db_name}", "mixes"),
        ("{db_id}/{db_name}/{date", "mixes"),
        ("../{db_id}/{db_name}", "not plain"),
        ("{db_id}/.runs/{db_name}", "not plain"),
        ("{db_id}/users_20261121_030005.sql.gz/{db_name}", "not plain"),
        ("{db_name}/{db_id}", "must come before"),
        ("{date}/{db_id}/{db_name}", "must come before"),
        ("{db_id}/{db_name}/{db_name}", "twice"),
        ("/".join(["a"] * 10) + "/{db_id}/{db_name}", "more than 10"),
    ],
)
def test_a_bad_structure_names_the_field_the_fault_and_the_remedy(template: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_structure(template)
    assert caught.value.message.startswith(f"storage.structure {template!r}: ")
    assert fault in caught.value.message
    assert DEFAULT_TEMPLATE in caught.value.hint


def test_other_structures() -> None:
    by_day = Tree("h", "main", parse_structure("{db_id}/{date}/{db_name}"))
    assert by_day.instance == by_day.database("shop") == PurePosixPath("main")
    assert by_day.backup("shop", AT).directory == PurePosixPath("main/2026-11-21/shop")
    flat = Tree("h", "main", parse_structure("backups/{db_id}/{db_name}"))
    assert flat.backup("a/b", AT).directory == flat.database("a/b") == PurePosixPath("backups/main/a%2Fb")


@given(st.sampled_from(list(permutations(["{hostname}", "{db_id}", "{db_name}", "{date}", "data"]))), names, names)
def test_two_databases_never_share_a_directory(segments: tuple[str, ...], one: str, other: str) -> None:
    if segments.index("{db_id}") > min(segments.index("{db_name}"), segments.index("{date}")):
        return
    tree = Tree("h", "main", parse_structure("/".join(segments)))
    assert (tree.backup(one, AT).directory == tree.backup(other, AT).directory) == (one == other)
