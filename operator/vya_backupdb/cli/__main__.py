"""``python -m vya_backupdb.cli``: the program, where its script is not on the PATH."""

from vya_backupdb.cli.app import main

main()
