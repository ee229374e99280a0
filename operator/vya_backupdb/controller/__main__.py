"""``python -m vya_backupdb.controller``."""

import sys

from vya_backupdb.controller.app import main

sys.exit(main())
