"""Command line: `python -m tests.images [base|operator|dumper|servers|mariadb:11.8 …]`; prints name and reference."""

import sys

from tests.images import ImageUnavailableError, ensure
from tests.images.recipes import PRODUCTS, SERVERS

_GROUPS = {"servers": tuple(SERVERS), "all": ("base", *SERVERS, *PRODUCTS)}


def main(arguments: list[str]) -> int:
    """Ensure each image; return 1 if one cannot be had."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(f"{__doc__}\nimages: {', '.join(_GROUPS['all'])}; groups: {', '.join(_GROUPS)} (default: all)")
        return 0
    names = [name for argument in arguments or ["all"] for name in _GROUPS.get(argument, (argument,))]
    failed = 0
    for name in names:
        try:
            print(f"{name}\t{ensure(name)}", flush=True)
        except ImageUnavailableError as error:
            failed = 1
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
