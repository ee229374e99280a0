"""Redaction by value: a secret is found in every form in which programs repeat it."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.redact import MASK, Redactor

NASTY = "p'a\"s\\s%w#o:r`d\nline$two"


@pytest.mark.parametrize(
    "spelled",
    [
        NASTY,
        json.dumps(NASTY),
        repr(NASTY),
        quote(NASTY, safe=""),
        NASTY.replace("'", "''"),
        NASTY.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"'),
        NASTY.replace("'", "'\\''"),
        "*:*:*:*:" + NASTY.replace("\\", "\\\\").replace(":", "\\:"),
        base64.b64encode(NASTY.encode()).decode(),
        base64.urlsafe_b64encode(NASTY.encode()).decode(),
    ],
)
def test_each_spelling_is_masked(spelled: str) -> None:
    text = Redactor([NASTY])(f"access denied: {spelled} (code 1045)")
    assert MASK in text
    assert "line$two" not in text
    assert "p'a" not in text


@given(st.text(min_size=1, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    redact = Redactor([secret])
    assert secret not in redact(before + secret + after).replace(MASK, "")


def test_a_secret_is_masked_without_the_blanks_around_it_too() -> None:
    assert Redactor([" secret and \t"])("said: secret and") == f"said: {MASK}"


def test_the_user_information_of_a_url_is_masked_though_nobody_told() -> None:
    assert Redactor()("postgresql://bob:geheim@db/x") == f"postgresql://{MASK}@db/x"


def test_text_without_secrets_stands_as_it_is() -> None:
    assert Redactor(["", "secret"])("nothing here") == "nothing here"
