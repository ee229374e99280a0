"""User and password from files: what opens, what is refused, in which words; and no value in any of them."""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.storage.support import fork

from vya_backupdb.domain.config import CredentialsConfig
from vya_backupdb.domain.credentials import is_token, parse_store
from vya_backupdb.domain.errors import BackupDBError, CredentialsMissing, CredentialsUnreadable
from vya_backupdb.storage import credentials
from vya_backupdb.storage.credentials import Credentials
from vya_backupdb.storage.crypto import Keyring, generate_key, legacy_key

PASSWORD = "p'a\"s\\s%w#o:r\nd$(x)`é"


def _keyring(path: Path, *keys: str) -> Path:
    file = path / "keyring"
    file.write_text("# first is primary\n\n" + "\n".join(keys) + "\n")
    return file


def _secret(path: Path, **values: str | bytes) -> Path:
    """A directory as kubelet makes it of a Secret: every key a link through ``..data``."""
    data = path / "secret" / "..2026_03_29"
    data.mkdir(parents=True)
    (path / "secret" / "..data").symlink_to("..2026_03_29")
    for key, value in values.items():
        (data / key.replace("__", ".")).write_bytes(value if isinstance(value, bytes) else value.encode())
        (path / "secret" / key.replace("__", ".")).symlink_to(f"..data/{key.replace('__', '.')}")
    return path / "secret"


def _config(path: Path, **fields: Any) -> CredentialsConfig:
    return CredentialsConfig.model_validate({"path": str(path)} | fields)


def _refusal(config: CredentialsConfig, kind: type[BackupDBError] = CredentialsUnreadable) -> str:
    with pytest.raises(kind) as caught:
        credentials.load(config, "shop")
    assert type(caught.value) is kind
    assert caught.value.hint
    assert caught.value.__cause__ is None, "a cause would be printed, and may hold the value"
    return str(caught.value)


def test_tokens_in_a_mounted_secret(tmp_path: Path) -> None:
    key = generate_key()
    keyring = Keyring([key], name="test")
    secret = _secret(tmp_path, username=keyring.encrypt("root") + "\n", password=keyring.encrypt(PASSWORD) + "\n\n")
    config = _config(secret, keyring=str(_keyring(tmp_path, generate_key(), key)))
    assert credentials.load(config, "shop") == Credentials("root", PASSWORD)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b"sec\nret", "sec\nret"),
        (b" secret ", " secret "),
        (b"secret\r\n", "secret\r"),
        (b"", ""),
        (PASSWORD.encode(), PASSWORD),
    ],
)
def test_plain_values_stand_as_they_are_but_for_one_last_newline(tmp_path: Path, written: bytes, meant: str) -> None:
    secret = _secret(tmp_path, user=b"root\n", pw=written)
    config = _config(secret, encoding="plain", username_key="user", password_key="pw")
    assert credentials.load(config, "shop") == Credentials("root", meant)


def test_a_store(tmp_path: Path) -> None:
    key = generate_key()
    path = _store(tmp_path, Keyring([key], name="test"), "other", "shop")
    config = _config(path, keyring=str(_keyring(tmp_path, key)))
    assert credentials.load(config, "shop") == Credentials("user of shop", PASSWORD)
    path.chmod(0o640)
    assert "has the mode 0640" in _refusal(config)
    path.chmod(0o400)
    credentials.load(config, "shop")
    with pytest.raises(CredentialsMissing, match="no entry with the id 'absent'"):
        credentials.load(config, "absent")


def _store(path: Path, keyring: Keyring, *ids: str) -> Path:
    entries = [
        {"id": one, "username": keyring.encrypt(f"user of {one}"), "password": keyring.encrypt(PASSWORD)} for one in ids
    ]
    encryption = {"method": "fernet", "key_derivation": "hostname-based", "version": "1.0"}
    file = path / "credentials.json"
    file.write_text(json.dumps({"version": "1.0", "encryption": encryption, "credentials": entries}))
    file.chmod(0o600)
    return file


def test_a_store_in_a_mounted_secret_has_the_modes_that_kubelet_gives(tmp_path: Path) -> None:
    key = generate_key()
    content = _store(tmp_path, Keyring([key], name="test"), "shop").read_bytes()
    secret = _secret(tmp_path, credentials__json=content)
    (secret / "..data" / "credentials.json").chmod(0o644)
    keyring = str(_keyring(tmp_path, key))
    assert credentials.load(_config(secret, keyring=keyring), "shop").password == PASSWORD
    assert credentials.load(_config(secret / "credentials.json", keyring=keyring), "shop").password == PASSWORD


def test_the_key_of_the_old_tool(tmp_path: Path) -> None:
    old = Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"backup01").digest()))
    secret = _secret(tmp_path, username=old.encrypt(b"root"), password=old.encrypt(PASSWORD.encode()))
    asked = {"key_derivation": "hostname-based", "legacy_hostname": "backup01"}
    assert credentials.load(_config(secret, **asked), "shop").password == PASSWORD
    both = _config(secret, keyring=str(_keyring(tmp_path, generate_key())), **asked)
    assert credentials.load(both, "shop").password == PASSWORD
    assert "host name 'x'" in _refusal(_config(secret, key_derivation="hostname-based", legacy_hostname="x"))
    assert "no key of" in _refusal(_config(secret, keyring=str(_keyring(tmp_path, generate_key()))))
    assert legacy_key("backup01") != legacy_key("backup02")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    key = generate_key()
    keyring = str(_keyring(tmp_path, key))
    token = Keyring([key], name="x").encrypt("x")
    assert "the credentials" in _refusal(_config(tmp_path / "absent", keyring=keyring), CredentialsMissing)
    secret = _secret(tmp_path, username=token)
    assert "the key 'password' is missing" in _refusal(_config(secret, keyring=keyring), CredentialsMissing)
    assert "no keyring is configured" in _refusal(_config(secret), CredentialsMissing)
    absent = _config(secret, keyring=str(tmp_path / "no-keyring"))
    assert "no-keyring is not there" in _refusal(absent, CredentialsMissing)


def test_what_cannot_be_used_is_named_and_never_shown(tmp_path: Path) -> None:
    key, other = generate_key(), generate_key()
    keyring = str(_keyring(tmp_path, key))
    token = Keyring([key], name="x").encrypt("root")
    wrong = Keyring([other], name="x").encrypt(PASSWORD)
    secret = _secret(
        tmp_path, username=token, password=wrong, plain=PASSWORD, binary=b"\xff\xfe", empty=b"", big=bytes(2 << 20)
    )
    told = [
        _refusal(_config(secret, keyring=keyring, password_key=name))
        for name in ("password", "plain", "binary", "empty", "big")
    ]
    assert f"no key of {keyring} opens {secret / 'password'}" in told[0]
    assert "plain holds no Fernet token" in told[1]
    told.append(_refusal(_config(secret, encoding="plain", password_key="binary")))
    told.append(_refusal(_config(secret, encoding="plain", username_key="empty")))
    told.append(_refusal(_config(secret, keyring=keyring, password_key="../../x")))
    (tmp_path / "bad").write_text(f"{key}\n{PASSWORD}\n")
    told.append(_refusal(_config(secret, keyring=str(tmp_path / "bad"))))
    assert "line 2" in told[-1]
    (tmp_path / "bad").write_text("\n# nothing\n")
    told.append(_refusal(_config(secret, keyring=str(tmp_path / "bad"))))
    assert "holds no key" in told[-1]
    told.append(_refusal(_config(secret, keyring=str(tmp_path))))
    for text in told:
        for value in (PASSWORD, *PASSWORD.split("\n"), token, wrong, key, other):
            assert value not in text


def test_text_forms_do_not_show_the_password(tmp_path: Path) -> None:
    found = Credentials("root", PASSWORD)
    for text in (repr(found), str(found), f"{found}", "%r" % found):  # noqa: UP031 - one more way to a text
        assert "p'a" not in text
        assert "w#o" not in text
    key = generate_key()
    assert key not in repr(Keyring([key], name="k"))
    token = Keyring([key], name="k").encrypt("x")
    store = parse_store(
        json.dumps({"credentials": [{"id": "a", "username": token, "password": token}]}).encode(), source="x"
    )
    assert token not in repr(store)


STORE: dict[str, Any] = {"version": "1.0", "credentials": [{"id": "shop", "username": "T", "password": "T"}]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"credentials": [{"id": "shop", "username": "T", "password": "hunter2-in-the-clear"}]},
            "credentials[0].password: is no",
        ),
        ({"credentials": [{"id": "a/b", "username": "T", "password": "T"}]}, "credentials[0].id"),
        ({"credentials": [{"id": "shop", "username": "T"}]}, "credentials[0].password: is required"),
        ({"credentials": [{"id": "a", "username": "T", "password": "T"}] * 2}, "the ids a stand twice"),
        ({"credentials": [], "hunter2": 1}, "hunter2: unknown key"),
        ({"credentials": [], "encryption": {"method": "rot13"}}, "encryption.method"),
        ({}, "credentials: is required"),
        ([], "the file"),
    ],
)
def test_a_wrong_store_is_explained_by_field(data: Any, words: str) -> None:
    token = Keyring([generate_key()], name="k").encrypt("x")
    content = json.dumps(data).replace('"T"', json.dumps(token)).encode()
    with pytest.raises(CredentialsUnreadable) as caught:
        parse_store(content, source="credentials.json")
    assert words in str(caught.value)
    assert "hunter2-in" not in str(caught.value)
    assert token not in str(caught.value)


@given(st.binary(max_size=500))
def test_any_bytes_as_a_store(data: bytes) -> None:
    with pytest.raises(CredentialsUnreadable):
        parse_store(data, source="x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=100)
@given(user=st.binary(min_size=1, max_size=60), password=st.binary(max_size=60))
def test_any_bytes_in_a_plain_secret(tmp_path: Path, user: bytes, password: bytes) -> None:
    (tmp_path / "username").write_bytes(user)
    (tmp_path / "password").write_bytes(password)
    try:
        found = credentials.load(_config(tmp_path, encoding="plain"), "shop")
    except CredentialsUnreadable:
        return
    assert found.password.encode() == password.removesuffix(b"\n")


@given(st.text(max_size=300))
def test_a_token_opens_to_what_went_in(text: str) -> None:
    keyring = Keyring([generate_key(), generate_key()], name="k")
    try:
        token = keyring.encrypt(text)
    except UnicodeError:
        return
    assert is_token(token)
    assert keyring.decrypt(token, what="x") == text


@pytest.mark.parametrize(
    "text", ["", "x", "gAAAAA", "gAAAAA==", "A" * 100, "hunter2", "é" * 100, "gAAAAABm" + "A" * 92 + "\n"]
)
def test_what_is_no_token(text: str) -> None:
    assert not is_token(text)


def test_rotation(tmp_path: Path) -> None:
    old, new = generate_key(), generate_key()
    token = Keyring([old], name="old").encrypt(PASSWORD)
    both = Keyring.load(_keyring(tmp_path, new, old))
    rotated = both.rotate(token, what="password")
    assert Keyring([new], name="new").decrypt(rotated, what="password") == PASSWORD
    with pytest.raises(CredentialsUnreadable, match="no key of new opens password"):
        Keyring([new], name="new").decrypt(token, what="password")


def test_what_may_not_be_read_is_named(memory: Path) -> None:
    locked = memory / "locked"
    locked.mkdir(mode=0o700)
    (locked / "username").write_text("root")
    (locked / "password").write_text(PASSWORD)
    (memory / "username").write_text("root")
    (memory / "password").write_text(PASSWORD)
    (memory / "password").chmod(0)

    def child() -> None:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        for path in (locked / "credentials.json", locked / "deeper", memory):
            assert "permission denied" in _refusal(_config(path, encoding="plain"))

    assert fork(child) == 0
