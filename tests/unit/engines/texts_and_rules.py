"""The rules for a file's statements on text alone: servers as facts, and a target that keeps what it is given."""

from dataclasses import replace

from vya_backupdb.engines.loader import FileInspector, FileLoader
from vya_backupdb.engines.loading import Inspection, LoadOptions, LoadResult
from vya_backupdb.engines.my_statements import MyReader
from vya_backupdb.engines.my_transforms import MyFacts, MyRules
from vya_backupdb.engines.pg_statements import PgReader
from vya_backupdb.engines.pg_transforms import PgFacts, PgRules

PG = PgFacts(frozenset({"client_encoding", "search_path", "work_mem"}), frozenset({"postgres"}))
MARIADB = MyFacts(
    mariadb=True, version=110806, sets_definers=True, folds_names=False,
    variables=frozenset({"sql_mode", "character_set_client", "collation_connection", "note_verbosity", "time_zone"}),
    collations=frozenset({"utf8mb4_bin", "utf8mb4_uca1400_ai_ci", "latin1_swedish_ci", "utf8mb4_unicode_ci"}),
)  # fmt: skip
MYSQL = replace(MARIADB, mariadb=False, version=90704, collations=frozenset({"utf8mb4_0900_ai_ci", "utf8mb4_bin"}))


class Kept:
    """A target that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def execute(self, text: bytes) -> None:
        self.texts.append(text)

    def copy(self, text: bytes) -> None:
        self.texts.append(text)

    def rows(self, data: bytes) -> None:
        self.texts.append(data)

    def copied(self) -> int:
        return self.texts[-1].count(b"\n")

    def finish(self) -> None:
        """Nothing waits here."""

    def counted(self) -> None:
        """Nobody counts here."""

    def cancel(self) -> None:
        raise NotImplementedError


def pg(options: LoadOptions) -> PgRules:
    return PgRules(options, PG)


def my(options: LoadOptions, facts: MyFacts = MARIADB, target: str = "copy") -> MyRules:
    return MyRules(options, facts, target)


def look(rules: PgRules | MyRules, text: bytes) -> Inspection:
    reader = PgReader() if isinstance(rules, PgRules) else MyReader(1 << 30)
    inspector = FileInspector(reader, rules)
    inspector.feed(text)
    return inspector.result()


def load(rules: PgRules | MyRules, text: bytes) -> tuple[list[bytes], LoadResult]:
    reader, kept = PgReader() if isinstance(rules, PgRules) else MyReader(1 << 30), Kept()
    loader = FileLoader(reader, rules, kept, database="copy", redact=str)
    loader.feed(text)
    return kept.texts, loader.finish()


def transforms(found: Inspection | LoadResult) -> dict[str, int]:
    return {one.name: one.count for one in found.transforms}
