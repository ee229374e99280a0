"""Taking credentials over and rotating them, as a user does: what is written, what is left, how it ends."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.cli.secret_place import OLD_HOST, PASSWORD, Call, Place, hostname_key, token_of

from vya_backupdb.cli.app import run
from vya_backupdb.domain.credentials import parse_store
from vya_backupdb.domain.errors import CredentialsUnreadable
from vya_backupdb.storage import rewrite
from vya_backupdb.storage.crypto import Keyring, generate_key

WHOLE = {"shop": ("user of shop", PASSWORD), "crm": ("user of crm", PASSWORD)}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def states(out: str) -> dict[str, str]:
    return {
        Path(row["file"]).name + (f":{row['field']}" if row["field"] else ""): row["state"]
        for row in json.loads(out)["tokens"]
    }


def test_a_file_of_the_vya_tool_is_taken_over(place: Place, call: Call) -> None:
    place.write(("shop", hostname_key(OLD_HOST)), ("crm", hostname_key(OLD_HOST)), derivation="hostname-based")
    source = place.store.rename(place.root / "legacy.json")
    before = source.read_bytes()
    code, out, err = call("credentials", "import", source, "--legacy-hostname", OLD_HOST, "--config", place.config)
    assert (code, json.loads(out)) == (0, {"file": str(place.store), "imported": ["shop", "crm"]}), err
    assert place.opened(place.new) == WHOLE
    assert json.loads(place.store.read_text())["encryption"]["key_derivation"] == "none"
    assert mode(place.store) == 0o600
    assert source.read_bytes() == before
    assert call("credentials", "check", "--config", place.config)[0] == 0


def test_an_import_overwrites_nothing_unless_it_is_told_to(place: Place, call: Call) -> None:
    before = place.write(("shop", hostname_key(OLD_HOST)))
    command = ("credentials", "import", place.store, "--legacy-hostname", OLD_HOST, "--keyring", place.ring)
    code, _, err = call(*command, "--output", place.store)
    assert (code, place.store.read_bytes()) == (10, before)
    assert "exists already" in err
    assert "--force" in err
    place.store.chmod(0o644)
    assert call(*command, "--output", place.store, "--force")[0] == 0
    assert place.opened(place.new) == {"shop": WHOLE["shop"]}
    assert mode(place.store) == 0o600


def test_an_import_is_all_or_nothing(place: Place, call: Call) -> None:
    place.write(("shop", hostname_key(OLD_HOST)), ("crm", place.old))
    source = place.store.rename(place.root / "legacy.json")
    code, _, err = call("credentials", "import", source, "--legacy-hostname", OLD_HOST, "--config", place.config)
    assert code == 12
    assert "does not open crm.username, crm.password" in err
    assert "--legacy-hostname" in err
    assert not place.store.exists()
    absent = place.root / "absent.json"
    assert call("credentials", "import", absent, "--legacy-hostname", "x", "--config", place.config)[0] == 11


def test_rotation_of_a_store_and_again(place: Place, call: Call) -> None:
    place.write(("shop", place.old), ("crm", place.new), derivation="hostname-based")
    owner = place.store.stat()
    planned = call("credentials", "rotate", "--dry-run", "--config", place.config)[1]
    assert states(planned)["credentials.json:shop.password"] == "rotated"
    code, out, err = call("credentials", "rotate", "--config", place.config)
    assert code == 0, err
    assert states(out) == {
        "credentials.json:shop.username": "rotated",
        "credentials.json:shop.password": "rotated",
        "credentials.json:crm.username": "current",
        "credentials.json:crm.password": "current",
    }
    assert place.opened(place.new) == WHOLE
    after = place.store.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (owner.st_uid, owner.st_gid, owner.st_mode)
    rotated = place.store.read_bytes()
    code, out, _ = call("credentials", "rotate", "--config", place.config)
    assert (code, set(states(out).values())) == (0, {"current"})
    assert (place.store.read_bytes(), place.store.stat().st_ino) == (rotated, after.st_ino)


def test_a_dry_run_changes_nothing(place: Place, call: Call) -> None:
    before = place.write(("shop", place.old))
    inode = place.store.stat().st_ino
    assert call("credentials", "rotate", "--dry-run", "--path", place.store, "--keyring", place.ring)[0] == 0
    assert (place.store.read_bytes(), place.store.stat().st_ino) == (before, inode)


def test_a_token_that_no_key_opens_stays_and_is_named(place: Place, call: Call) -> None:
    place.write(("shop", place.old), ("crm", generate_key()), derivation="hostname-based")
    lost = json.loads(place.store.read_text())["credentials"][1]
    code, out, _ = call("credentials", "rotate", "--config", place.config)
    assert code == 12
    assert states(out)["credentials.json:crm.password"] == "no key opens it"
    after = json.loads(place.store.read_text())
    assert after["credentials"][1] == lost
    assert after["encryption"]["key_derivation"] == "hostname-based"
    ring = Keyring([place.new], name="x")
    assert ring.decrypt(after["credentials"][0]["password"], what="x") == PASSWORD


def test_rotation_of_a_directory_of_tokens(place: Place, call: Call) -> None:
    secrets = place.root / "secrets"
    secrets.mkdir()
    for name, key in (("username", place.old), ("password", place.new), ("stray", generate_key())):
        (secrets / name).write_text(token_of(key, name) + "\n")
        (secrets / name).chmod(0o640)
    (secrets / "clear").write_text("hunter2")
    (secrets / ".hidden").write_text("x")
    code, out, _ = call("credentials", "rotate", "--path", secrets, "--keyring", place.ring)
    assert (code, states(out)) == (
        12,
        {"clear": "no token", "password": "current", "stray": "no key opens it", "username": "rotated"},
    )
    token = (secrets / "username").read_text()
    assert (Keyring([place.new], name="x").decrypt(token, what="x"), token[-1], mode(secrets / "username")) == (
        "username",
        "\n",
        0o640,
    )
    assert (secrets / "clear").read_text() == "hunter2"
    assert sorted(one.name for one in secrets.iterdir()) == [".hidden", "clear", "password", "stray", "username"]


def test_a_derived_key_is_left_behind_by_a_rotation(place: Place, call: Call) -> None:
    place.configure(key_derivation="hostname-based", legacy_hostname=OLD_HOST)
    place.write(("shop", hostname_key(OLD_HOST)), ("crm", hostname_key(OLD_HOST)))
    code, _, err = call("credentials", "rotate", "--config", place.config)
    assert (code, place.opened(place.new)) == (0, WHOLE), err


def test_a_mounted_secret_is_not_written_to(place: Place, call: Call) -> None:
    mounted = place.root / "mounted"
    (mounted / "..real").mkdir(parents=True)
    (mounted / "..data").symlink_to("..real")
    for name in ("username", "password"):
        (mounted / "..real" / name).write_text(token_of(place.old, name))
        (mounted / name).symlink_to(f"..data/{name}")
    place.configure(path=str(mounted))
    code, _, err = call("credentials", "rotate", "--config", place.config)
    assert code == 10
    assert "mounted Secret" in err
    assert call("credentials", "rotate", "--dry-run", "--config", place.config)[0] == 0


def test_a_link_is_followed_and_stays_a_link(place: Place, call: Call) -> None:
    place.write(("shop", place.old))
    real = place.store.rename(place.root / "real.json")
    place.store.symlink_to(real)
    assert call("credentials", "rotate", "--path", place.store, "--keyring", place.ring)[0] == 0
    assert place.store.is_symlink()
    assert place.opened(place.new) == {"shop": WHOLE["shop"]}


def test_what_a_killed_writer_left_is_cleared_away(place: Place, call: Call) -> None:
    place.write(("shop", place.old))
    litter = place.root / ".credentials.json.new"
    litter.write_text('{"credentials": [{"id": "sh')
    assert call("credentials", "rotate", "--config", place.config)[0] == 0
    assert place.opened(place.new) == {"shop": WHOLE["shop"]}
    assert not litter.exists()


def test_a_file_that_changed_meanwhile_is_not_overwritten(place: Place) -> None:
    place.write(("shop", place.old))

    def change(data: bytes) -> bytes:
        place.store.write_bytes(b"somebody's newer work")
        return data + b"\n"

    with pytest.raises(CredentialsUnreadable, match="changed it meanwhile"):
        rewrite.update(place.store, change)
    assert place.store.read_bytes() == b"somebody's newer work"
    assert sorted(one.name for one in place.root.iterdir()) == ["config.yaml", "credentials.json", "keyring"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20)
@given(st.lists(st.sampled_from("ons"), max_size=6), st.text(max_size=40))
def test_any_mixture_of_keys_loses_nothing(place: Place, kinds: list[str], text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    keys = {"o": place.old, "n": place.new, "s": generate_key()}
    entries = [
        {"id": f"db-{number}", "username": token_of(keys[kind], "u"), "password": token_of(keys[kind], text)}
        for number, kind in enumerate(kinds)
    ]
    place.store.write_text(json.dumps({"credentials": entries}))
    code = run(["credentials", "rotate", "--path", str(place.store), "--keyring", str(place.ring), "--format", "json"])
    assert code == (12 if "s" in kinds else 0)
    after = parse_store(place.store.read_bytes(), source="x").credentials
    for kind, before, entry in zip(kinds, entries, after, strict=True):
        key = keys["s"] if kind == "s" else place.new
        assert Keyring([key], name="x").decrypt(entry.password, what="x") == text
        assert kind == "o" or (entry.id, entry.username, entry.password) == tuple(before.values())
