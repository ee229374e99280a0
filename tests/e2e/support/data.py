"""What the stories back up and drop: a small shop with a bit of everything, and fingerprints computed by SQL alone."""

from pathlib import Path
from typing import Final

from tests.cluster.paths import CHECKOUT
from tests.e2e.support.databases import Database

_SQL: Final = Path(__file__).parent / "sql"


def make_shop(database: Database, name: str) -> None:
    """Make the shop under this name."""
    if database.engine.product == "postgres":
        database.create(name, (CHECKOUT / "tests" / "demo" / "shop.sql").read_text())
    else:
        database.create(name, (_SQL / "shop_mysql.sql").read_text())


def make_small(database: Database, name: str, rows: int = 3) -> None:
    """Make a database of one small table `t`."""
    values = ", ".join(f"({number}, 'row {number}')" for number in range(rows))
    database.create(name, f"CREATE TABLE t (a int PRIMARY KEY, b varchar(20)); INSERT INTO t VALUES {values};")


def make_chinook(database: Database, name: str) -> bool:
    """Make the data set Chinook under this name; return False where this machine has no copy of it."""
    product = "PostgreSql" if database.engine.product == "postgres" else "MySql"
    path = CHECKOUT.parent / "shared" / "data" / "chinook" / f"Chinook_{product}.sql"
    if not path.exists():
        return False
    database.create(name, _without_database(path))
    return True


def fingerprint(database: Database, name: str) -> dict[str, list[str]]:
    """Return what must be equal before and after: a checksum of the rows of each table, and the catalogue."""
    if database.engine.product == "postgres":
        return _postgres(database, name)
    tables = database.sql("SHOW FULL TABLES WHERE table_type = 'BASE TABLE'", name)
    names = sorted(line.partition("\t")[0] for line in tables)
    sums = [f"SELECT '{table}', COUNT(*) FROM `{table}`; CHECKSUM TABLE `{table}` EXTENDED;" for table in names]
    # the checksum names the database, which may be another one
    rows = [line.removeprefix(f"{name}.") for line in database.sql("\n".join(sums), name)]
    # MySQL keeps what information_schema says of tables for a day
    fresh = "SET SESSION information_schema_stats_expiry = 0;\n" if database.engine.product == "mysql" else ""
    catalogue = database.sql(fresh + (_SQL / "catalogue_mysql.sql").read_text(), name)
    views = database.sql("SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE()", name)
    contents = [line for view in sorted(views) for line in database.sql(f"SELECT * FROM `{view}` ORDER BY 1", name)]
    return {"rows": rows, "catalogue": catalogue, "views": contents}


def _postgres(database: Database, name: str) -> dict[str, list[str]]:
    listed = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    sums = [
        f"SELECT '{table}', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} t;"
        for table in database.sql(listed, name)
    ]
    settings = "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datacl, pg_get_userbyid(datdba)"
    return {
        "rows": database.sql("\n".join(sums), name),
        "catalogue": database.sql((_SQL / "catalogue_postgres.sql").read_text(), name),
        "database": database.sql(f"{settings} FROM pg_database WHERE datname = current_database()", name),
    }


def _without_database(path: Path) -> str:
    """Return the script without the statements that choose a database of their own."""
    skipped = ("drop database", "create database", "use ", "\\c ")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return "\n".join(line for line in lines if not line.lower().startswith(skipped))
