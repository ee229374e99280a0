"""Grants as MySQL and MariaDB show them, and what they mean for one database."""

import pytest

from vya_backupdb.engines.my_rights import parse_grants


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
    assert any(grant.covers(database) and grant.gives(right) for grant in parse_grants([line])) is expected
