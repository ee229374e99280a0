"""Views that a dump defines before what they need: kept until the end of the file, and tried again.

The clients of both products write a stand-in for every view first and then the views by name, so ``a_view`` may be
defined over a ``z_view`` that still is a stand-in. The servers take that, but for ``WITH CHECK OPTION``: a stand-in
cannot be updated (error 1368). So the file does not load as it stands, neither here nor with the servers' own clients.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from vya_backupdb.engines.loader import StatementFailed

_VIEW: Final = re.compile(
    rb"(?is)(?:/\*M?!\d*\s*)?CREATE\s[^'\"]{0,400}?(?:(?:'[^']*'|\"[^\"]*\")[^'\"]{0,400}?)*?\bVIEW\s"
)
_SETTING: Final = re.compile(rb"(?i)(?:/\*M?!\d*\s*)?SET\s")
_LONGEST_HEAD: Final = 2000

Execute = Callable[[bytes], None]


class WaitingViews:
    """The views of one file that were refused, each with the settings that stand in front of it."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._settings: list[bytes] = []
        self._waiting: list[tuple[tuple[bytes, ...], bytes]] = []

    def execute(self, text: bytes) -> None:
        """Execute `text`; a view that is refused waits. Raise StatementFailed for every other refusal."""
        if _SETTING.match(text):
            self._settings.append(text)
            self._execute(text)
            return
        settings, self._settings = tuple(self._settings), []
        try:
            self._execute(text)
        except StatementFailed:
            if not _VIEW.match(text[:_LONGEST_HEAD]):
                raise
            self._waiting.append((settings, text))

    def finish(self) -> None:
        """Try what waits again, as long as that helps. Raise StatementFailed with the first refusal of the rest."""
        while self._waiting:
            before, self._waiting = self._waiting, []
            refusals = list(self._again(before))
            if len(self._waiting) == len(before):
                raise refusals[0]

    def _again(self, views: list[tuple[tuple[bytes, ...], bytes]]) -> Iterator[StatementFailed]:
        for settings, text in views:
            try:
                for setting in settings:
                    self._execute(setting)
                self._execute(text)
            except StatementFailed as error:
                self._waiting.append((settings, text))
                yield error
