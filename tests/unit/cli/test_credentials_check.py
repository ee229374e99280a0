"""``credentials check``: what it finds in a store and its keyring, and which of it is in the way of a backup."""

import json
from typing import Any

from tests.unit.cli.secret_place import OLD_HOST, Call, Place, hostname_key

from vya_backupdb.storage.crypto import generate_key


def findings(out: str) -> dict[str, dict[str, Any]]:
    return {one["reason"]: one for one in json.loads(out)["findings"]}


def check(place: Place, call: Call, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    code, out, _ = call("credentials", "check", "--config", place.config, *more)
    return code, findings(out)


def test_check_finds_nothing_where_all_is_well(place: Place, call: Call) -> None:
    place.write(("shop", place.new), ("crm", place.new))
    assert check(place, call) == (0, {})


def test_check_warns_of_a_key_that_must_not_be_trimmed_yet(place: Place, call: Call) -> None:
    place.write(("shop", place.new), ("crm", place.old))
    code, found = check(place, call)
    assert (code, list(found), found["OldKey"]["blocking"]) == (0, ["OldKey"], False)
    assert "only key 2" in found["OldKey"]["message"]
    assert "crm.password" in found["OldKey"]["message"]
    assert "rotate" in found["OldKey"]["message"]
    call("credentials", "rotate", "--config", place.config)
    assert check(place, call) == (0, {})
    place.with_keys(place.new)
    assert check(place, call) == (0, {})


def test_check_names_tokens_that_no_key_opens_and_strangers(place: Place, call: Call) -> None:
    place.write(("shop", place.new), ("shpo", generate_key()))
    code, found = check(place, call)
    assert code == 11
    assert set(found) == {"NoKeyOpens", "NoDatabase", "NoEntry"}
    assert "'crm'" in found["NoEntry"]["message"]
    assert "'shpo'" in found["NoDatabase"]["message"]
    assert "shpo.password" in found["NoKeyOpens"]["message"]
    code, found = check(place, call, "--instance", "shop")
    assert (code, "NoKeyOpens" in found) == (12, True)


def test_check_looks_at_modes(place: Place, call: Call) -> None:
    place.write(("shop", place.new), ("crm", place.new), mode=0o644)
    place.ring.chmod(0o640)
    code, out, _ = call("credentials", "check", "--config", place.config)
    assert code == 12
    told = [(one["blocking"], one["message"]) for one in json.loads(out)["findings"] if one["reason"] == "OpenToOthers"]
    assert [(blocking, "0640" in text, "0644" in text) for blocking, text in told] == [
        (False, True, False),
        (True, False, True),
    ]


def test_check_names_each_line_that_is_no_key(place: Place, call: Call) -> None:
    place.write(("shop", place.new), ("crm", place.new))
    place.ring.write_text(f"hunter2\n# a remark\n{place.new}\nhunter3\n")
    code, out, err = call("credentials", "check", "--config", place.config)
    assert code == 12
    assert "line 1, 4: no Fernet key" in findings(out)["CredentialsUnreadable"]["message"]
    assert "hunter" not in out + err


def test_check_warns_of_a_derived_key(place: Place, call: Call) -> None:
    place.configure(key_derivation="hostname-based", legacy_hostname=OLD_HOST)
    place.write(("shop", place.new), ("crm", hostname_key(OLD_HOST)))
    code, found = check(place, call)
    assert (code, set(found)) == (0, {"HostnameDerivation", "OldKey"})
    assert not found["HostnameDerivation"]["blocking"]


def test_tables_show_the_same(place: Place, call: Call) -> None:
    place.write(("shop", place.new), ("crm", place.old))
    code, out, _ = call("credentials", "check", "--config", place.config, "--format", "table")
    assert code == 0
    assert "OldKey" in out
    code, out, _ = call("credentials", "rotate", "--config", place.config, "--format", "table", "--dry-run")
    assert "would be rotated" in out
