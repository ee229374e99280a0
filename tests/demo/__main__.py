"""``python -m tests.demo cluster|cli``: the two demonstrations behind ``make demo`` and ``make demo-cli``."""

import argparse
import sys

from tests.demo import cli_story, cluster_story


def main(argv: list[str]) -> int:
    """Run one demonstration; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("story", choices=("cluster", "cli"))
    arguments = parser.parse_args(argv)
    return cluster_story.main() if arguments.story == "cluster" else cli_story.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
