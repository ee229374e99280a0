"""Names as an attacker or an old server would choose them."""

from hypothesis import strategies as st

HOSTILE = (
    "../../x", "a/b", "-rf", "..", ".", "/", "\\", "host=evil dbname=x", "it's", '"q"', "`b`", "%", "%2F", "%2f",
    "100%", "~", "a~0123456789ab", "new\nline", "\0", "\r", " ", "caf\u00e9", "cafe\u0301", "Shop", "shop",
    ".runs", ".owner.json",
    ".restores", ".lock", ".hidden", "users", "users_20261121_030000", "users_20261121_030000.sql.gz",
    "USERS_20261121_030000_2.metadata.json", "shop_20261121_030000_full", "shop_20261121_030000_full.sql.gz", "_full",
    ".x.partial-run", "x.metadata.json.tombstone", "\U0001f600" * 64, "a" * 150, "a" * 151, "%" * 50, "%" * 51,
    "\udc80",    "\udcc3\udca9", "con", "a ", "$(reboot)", "; rm", "x" * 5000,
)  # fmt: skip

# long ones with a common head, so that the cut and its digest are met often
_long = st.builds(lambda head, tail: head + tail, st.sampled_from(["a" * 140, "é" * 48, "%" * 49]), st.text(min_size=1))

names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(codec=None), min_size=1, max_size=80),
    st.text("ab%~./_-2Ff\n", min_size=1, max_size=12),
    _long,
)
"""Any name but the empty one, surrogates included."""

run_ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
