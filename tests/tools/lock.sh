#!/bin/sh
# Resolves requirements/*.lock from pyproject.toml: for every platform, Python 3.11 and newer, with hashes, no index named.
set -eu
cd "$(dirname "$0")/../.."
.venv/bin/python -m pip install --quiet uv
resolve() { # output, options…
  output=$1; shift
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" pyproject.toml -o "requirements/$output.lock"
}
resolve operator --extra operator
resolve dumper --extra dumper
resolve dev --extra operator --extra dumper --group dev
