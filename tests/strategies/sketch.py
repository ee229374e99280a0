"""A schema in the making: what the strategies of both families of servers draw into."""

from dataclasses import dataclass, field

#: Names that are words of SQL, that end a quote or a statement, that need more bytes than they have letters.
ODD_NAMES = (
    "plain", "Select", "user", "a b", 'q"uote', "o'clock", "per%cent", "c:olon", ":bind", "line\nbreak", "ümläut",
    "漢字", "back\\slash",
)  # fmt: skip


@dataclass
class Sketch:
    """The statements so far, and the tables with their columns and types, for what refers to them."""

    statements: list[str] = field(default_factory=list)
    tables: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)

    def add(self, statement: str) -> None:
        """Take one more statement."""
        self.statements.append(statement)
