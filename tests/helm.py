"""The few Helm commands that the demo and the tests type, run by a real Helm: the binary, else Helm's own library.

``python -m tests.helm upgrade --install NAME CHART -n NAMESPACE [--create-namespace] [--set k=v]…`` takes Helm's words.
Where no ``helm`` is on the PATH, the Helm v4 library in the Python package helm-python-sdk does the same work.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from helm_python import Config
from helm_python.errors import HelmError

_WITHIN = "VYA_BACKUPDB_WITHIN_HELM"


def _values(pairs: list[str]) -> dict[str, Any]:
    """Return nested values for ``--set a.b=c``; a value that is JSON is taken as such."""
    values: dict[str, Any] = {}
    for pair in pairs:
        path, _, text = pair.partition("=")
        *parents, leaf = path.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        try:
            place[leaf] = json.loads(text)
        except ValueError:
            place[leaf] = text
    return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="helm")
    commands = parser.add_subparsers(dest="command", required=True)
    upgrade = commands.add_parser("upgrade")
    upgrade.add_argument("--install", action="store_true", required=True)
    upgrade.add_argument("name")
    upgrade.add_argument("chart", type=Path)
    upgrade.add_argument("--create-namespace", action="store_true")
    upgrade.add_argument("--set", "--set-json", action="append", default=[])
    uninstall = commands.add_parser("uninstall")
    uninstall.add_argument("name")
    uninstall.add_argument("--ignore-not-found", action="store_true")
    for one in (upgrade, uninstall):
        one.add_argument("-n", "--namespace", required=True)
        one.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"))
        one.add_argument("--wait", action="store_true")
    return parser


def _library(arguments: argparse.Namespace) -> str:
    with Config(kubeconfig_path=arguments.kubeconfig, namespace=arguments.namespace) as config:
        installed = {release["name"] for release in config.list()}
        if arguments.command == "uninstall":
            if arguments.name not in installed and arguments.ignore_not_found:
                return ""
            config.uninstall(arguments.name, wait="watcher", timeout=180)
            return f'release "{arguments.name}" uninstalled\n'
        values = _values(arguments.set)
        if arguments.name in installed:
            release = config.upgrade(arguments.chart, arguments.name, values, wait="watcher", timeout=180)
        else:
            release = config.install(
                arguments.chart,
                arguments.name,
                values,
                create_namespace=arguments.create_namespace,
                wait="watcher",
                timeout=180,
            )
        notes = str(release.get("info", {}).get("notes") or release.get("notes") or "")
        return f'Release "{arguments.name}" is deployed.\n{notes}'


def main(argv: list[str]) -> int:
    """Run one Helm command; return its exit code."""
    binary = shutil.which("helm")
    # the `helm` on the PATH may be a script that calls this module: it would start itself for ever
    if binary and _WITHIN not in os.environ:
        return subprocess.run([binary, *argv], check=False, env={**os.environ, _WITHIN: "1"}).returncode
    try:
        print(_library(_parser().parse_args(argv)), end="")
    except HelmError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
