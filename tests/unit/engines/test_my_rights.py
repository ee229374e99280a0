"""Grants as MySQL and MariaDB show them, and what they mean for one database."""

import pytest

from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_rights import parse_rights


@pytest.mark.parametrize(
    ("line", "database", "right", "expected"),
    [
        ("GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION", "shop", "TRIGGER", True),
        ("GRANT SELECT, TRIGGER ON `shop`.* TO `b`@`%`", "shop", "TRIGGER", True),
        ("GRANT SELECT, TRIGGER ON `shop`.* TO `b`@`%`", "shops", "TRIGGER", False),
        ("GRANT SELECT ON `shop`.* TO `b`@`%`", "shop", "TRIGGER", False),
        ("GRANT SELECT ON `shop`.`item` TO `b`@`%`", "shop", "SELECT", False),
        ("GRANT SELECT (`a`, `b`), INSERT ON `shop`.* TO `b`@`%`", "shop", "SELECT", False),
        ("GRANT SELECT ON `sh%`.* TO `b`@`%`", "shop", "SELECT", True),
        (r"GRANT SELECT ON `sh\_p`.* TO `b`@`%`", "shop", "SELECT", False),
        (r"GRANT SELECT ON `sh\_p`.* TO `b`@`%`", "sh_p", "SELECT", True),
        ("GRANT SELECT ON `a``b`.* TO `b`@`%`", "a`b", "SELECT", True),
        ("GRANT USAGE ON *.* TO `b`@`%` IDENTIFIED BY PASSWORD '*1'", "shop", "SELECT", False),
        ("GRANT `reader`@`%` TO `b`@`%`", "shop", "SELECT", False),
    ],
)
def test_a_grant_counts_for_whole_databases_that_it_names(line: str, database: str, right: str, expected: bool) -> None:
    assert parse_rights([line]).on_all_of(database, right) is expected


def test_a_partial_revoke_takes_a_right_from_one_database() -> None:
    lines = ["GRANT SELECT ON *.* TO `b`@`%`", "REVOKE SELECT ON `shop`.* FROM `b`@`%`"]
    rights = parse_rights(lines)
    assert rights.on_all_of("blog", "SELECT")
    assert not rights.on_all_of("shop", "SELECT")
    assert parse_rights([*lines, "GRANT SELECT ON `shop`.* TO `b`@`%`"]).on_all_of("shop", "SELECT")


@pytest.mark.parametrize(
    ("line", "product", "expected"),
    [
        ("GRANT SELECT ON `mysql`.`proc` TO `b`@`%`", "MariaDB", True),
        ("GRANT SELECT ON `mysql`.* TO `b`@`%`", "MariaDB", True),
        ("GRANT SELECT ON *.* TO `b`@`%`", "MariaDB", True),
        ("GRANT SHOW CREATE ROUTINE ON `shop`.* TO `b`@`%`", "MariaDB", True),
        ("GRANT SELECT ON `mysql`.`user` TO `b`@`%`", "MariaDB", False),
        ("GRANT SHOW_ROUTINE ON *.* TO `b`@`%`", "MySQL", True),
        ("GRANT SELECT ON `mysql`.* TO `b`@`%`", "MySQL", False),
    ],
)
def test_who_sees_the_bodies_of_routines(line: str, product: Product, expected: bool) -> None:
    assert parse_rights([line]).reads_bodies(product, "shop") is expected
