#!/bin/sh
# Makes the checkout's own Python environment, .venv: every package pinned by hash, the project itself editable.
# Does nothing, quickly, when the locks and pyproject.toml are those it was made from. Needs Debian, and root or sudo
# only if Python's venv module is missing.
set -eu
cd "$(dirname "$0")/.."
VENV=.venv
STAMP=$VENV/.made-from

say() { printf '%s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

usable() { # a Python of 3.11 or newer that can make environments
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 /usr/bin/python3; do
    if usable "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done
  return 1
}

install_python() {
  command -v apt-get >/dev/null || {
    say "error: no Python 3.11 or newer that can make environments, and no apt: install Python 3.11 with venv by hand"
    exit 1
  }
  say "installing Debian packages: python3 python3-venv"
  as_root env DEBIAN_FRONTEND=noninteractive sh -euc '
    install() { apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 python3 python3-venv; }
    install >/dev/null 2>&1 || { apt-get update -qq; install >/dev/null; }'
}

made_from() { cat requirements/dev.lock pyproject.toml tests/bootstrap.sh | sha256sum | cut -c1-64; }

WANTED=$(made_from)
if [ -x $VENV/bin/python ] && [ "$(cat $STAMP 2>/dev/null)" = "$WANTED" ]; then
  exit 0
fi

PYTHON=$(find_python) || { install_python; PYTHON=$(find_python); } || {
  say "error: Python 3.11 or newer is needed; this machine's is $(python3 --version 2>&1)"
  exit 1
}
# an environment that was copied, or whose Python is gone, does not run: make it anew
if [ -d $VENV ] && ! $VENV/bin/python -c 'import pip' >/dev/null 2>&1; then rm -rf $VENV; fi
if [ ! -d $VENV ]; then
  say "making $VENV with $("$PYTHON" --version)"
  "$PYTHON" -m venv $VENV
fi
rm -f $STAMP
say "installing the locked packages into $VENV (a minute, the first time)"
$VENV/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
$VENV/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s' "$WANTED" > $STAMP
say "$VENV is ready"
