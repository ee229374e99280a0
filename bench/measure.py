"""Running contenders in turn, and what each run took: wall-clock and CPU seconds, and the bytes that came out.

`busy` is of the whole machine, server and kernel included: divided by the number of cores it is the least wall-clock
time that a contender could take there, however well its parts were spread over the cores.
"""

import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: In /proc/stat, of each kind of time that a core was not busy: idle, waiting for a device, taken by the hypervisor.
_NOT_BUSY: Final = (3, 4, 7)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds, CPU seconds of us and our children (not of the server), those of the machine, bytes."""

    wall: float
    cpu: float
    busy: float
    size: int


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody to measure: `run` does the work once and returns the bytes that it wrote; `prepare` is not counted."""

    name: str
    run: Callable[[], int]
    prepare: Callable[[], None] = lambda: None


def measure(contenders: Sequence[Contender], runs: int, say: Callable[[str], None]) -> dict[str, list[Run]]:
    """Run every contender once uncounted, then `runs` times round, in turn; return each one's runs."""
    found: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for number in range(runs + 1):
        for contender in contenders:
            one = _timed(contender)
            if number:
                found[contender.name].append(one)
            say(f"  {'warm-up' if not number else f'run {number}/{runs}'}: {contender.name} {one.wall:.1f} s")
    return found


def _timed(contender: Contender) -> Run:
    contender.prepare()
    before, cpu, busy = time.perf_counter(), _cpu(), _busy()
    size = contender.run()
    return Run(time.perf_counter() - before, _cpu() - cpu, _busy() - busy, size)


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _busy() -> float:
    """Return the seconds for which all cores together have been busy since the machine started."""
    times = [int(text) for text in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(value for number, value in enumerate(times) if number not in _NOT_BUSY) / os.sysconf("SC_CLK_TCK")


def median(runs: Sequence[Run]) -> float:
    """Return the median wall-clock seconds."""
    return statistics.median(run.wall for run in runs)


def table(found: Mapping[str, Sequence[Run]], base: str) -> list[str]:
    """Return the lines of a table: medians, spread, CPU, size, and the ratio of each median to that of `base`."""
    lines = [f"{'':34} {'median s':>9} {'min-max s':>13} {'CPU s':>7} {'busy s':>7} {'MB':>8} {'÷ ' + base:>12}"]
    for name, runs in found.items():
        walls = [run.wall for run in runs]
        spread = f"{min(walls):.1f}-{max(walls):.1f}"
        cpu, busy = (statistics.median(values) for values in zip(*((run.cpu, run.busy) for run in runs), strict=True))
        spent = f"{median(runs):9.2f} {spread:>13} {cpu:7.2f} {busy:7.2f}"
        ratio = median(runs) / median(found[base])
        lines.append(f"{name:34} {spent} {runs[-1].size / 1e6:8.1f} {ratio:12.2f}")
    return lines


def machine() -> str:
    """Return one line on the machine: cores and load."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{len(os.sched_getaffinity(0))} cores, load {load} (quote ratios only; above a load of 0.5 not even these)"
