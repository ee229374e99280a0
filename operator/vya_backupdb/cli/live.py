"""The live view of a run on a terminal: a bar for each database under way, and one for the whole run."""

import threading

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from vya_backupdb.cli.output import duration, label, note_text, size
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.dumper.events import DatabaseEnded, Event, Moved, Noted, RunEnded, RunStarted, StepStarted


class _Bytes(ProgressColumn):
    """What has passed, of how much it was the last time, and what it was packed to."""

    def render(self, task: Task) -> Text:
        """Return the cell; the line of the whole run has none."""
        if task.fields["whole"] or not task.completed:
            return Text("")
        passed = size(int(task.completed))
        packed = task.fields["file_bytes"]
        shown = Text(f"{passed} of {size(int(task.total))}" if task.total else passed)
        return shown.append(f" → {size(packed)}", style="green") if packed else shown


class _Speed(ProgressColumn):
    """Bytes a second, and the time left where it can be told."""

    def render(self, task: Task) -> Text:
        """Return the cell; empty until something is known."""
        if task.fields["whole"] or not task.speed:
            return Text("")
        left = task.time_remaining
        rest = f", {duration(left)} left" if left is not None and task.completed else ""
        return Text(f"{size(int(task.speed))}/s{rest}", style="dim")


class LiveView:
    """A bar for each database under way: bytes, rate, time left by the last backup; and one for the whole run."""

    def __init__(self, target: Console, redact: Redactor) -> None:
        self._lock = threading.Lock()
        self._redact = redact
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._whole: TaskID | None = None
        self._names = 0
        narrow = Column(min_width=9, no_wrap=True)
        name = Column(min_width=16, max_width=32, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[label]}", style="bold", markup=False, table_column=name),
            TextColumn("{task.fields[step]}", style="cyan", markup=False, table_column=narrow),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="green"),
            _Bytes(table_column=Column(no_wrap=True)),
            _Speed(table_column=Column(no_wrap=True)),
            console=target,
            transient=True,
        )

    def __enter__(self) -> "LiveView":
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove the bars."""
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        with self._lock:
            match event:
                case RunStarted():
                    self._run_started(event)
                case StepStarted():
                    self._step(event)
                case Moved():
                    task = self._tasks.get((event.kind, event.name))
                    if task is not None:
                        self._progress.update(task, completed=event.raw_bytes, file_bytes=event.file_bytes)
                case DatabaseEnded():
                    self._ended(event)
                case Noted():
                    self._progress.console.print(note_text(event, self._redact))
                case RunEnded():
                    self._progress.stop()

    def _run_started(self, event: RunStarted) -> None:
        self._names = len(event.names)
        if self._names > 1:
            self._whole = self._add(label="whole run", step=f"0 of {self._names}", total=self._names, whole=True)

    def _step(self, event: StepStarted) -> None:
        key = (event.kind, event.name)
        self._remove(key)
        name = label(event.kind, event.name)
        self._tasks[key] = self._add(label=name, step=event.step.value, total=event.expected_bytes, whole=False)

    def _add(self, *, label: str, step: str, total: int | None, whole: bool) -> TaskID:
        return self._progress.add_task("", total=total, label=label, step=step, file_bytes=0, whole=whole)

    def _remove(self, key: tuple[str, str]) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            self._progress.remove_task(task)

    def _ended(self, event: DatabaseEnded) -> None:
        self._remove((event.row.kind, event.row.name))
        if self._whole is not None:
            done = int(self._progress.tasks[self._progress.task_ids.index(self._whole)].completed) + 1
            self._progress.update(self._whole, completed=done, step=f"{done} of {self._names}")
