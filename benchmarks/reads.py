"""What a plan and an apply cost, held against the least that the same work can cost, in one run.

    python benchmarks/reads.py [--pairs 5] [--only WORDS] [--no-peers] [--times bursts] [--plot FILE]
                               [--profile] [--smoke]

Every row runs its floors and reconciler in turn, as whole processes, against a page server of its own on one
core (`page_server.py`), and prints medians: seconds by the wall and on the processor, peak memory, requests
as the server counted them, and the ratio to the row's floor, pair by pair. The machine may be shared: the
ratio of the processor's seconds says what the wall's would be without neighbours. What is wanted of the
wall, and whether it was met, stands beside each. The floors, and the requests that each makes, are in
`floors.py`.

- *First plan*: a fresh checkout, without lockfile or cache. All that is desired is live, so that nothing is
  to be created, and all of it is to be adopted.
- *Next plan*: an apply has recorded all of it as COMPLETED.
- *Apply*: beside one recorded batch, so many are desired that nobody has made; the journal was closed by the
  run before, so that no settle time is waited for (C2).

The last part is cost over size, as a table, as the exponent of the power law, and as an SVG. `--profile`
shows where reconciler's time went in the rows that are not met. `--smoke` does all this with little, to see
that it works. Compile the package first (an ordinary ``pip install`` does it).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import worlds
from measuring import Figure, Way, in_turn, middle, ratio, surroundings
from page_server import PageServer
from plotting import exponent, svg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ROOT = Path(__file__).parents[1]
_PYTHON = Path(sys.executable)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    pairs: int
    first: tuple[tuple[int, int], ...]
    latent: tuple[int, int]
    latency: float
    recorded: tuple[int, int]
    most_recorded: int
    creates: int
    latent_creates: int
    live_beside: int
    curve: tuple[int, ...]


_FULL = Sizes(
    pairs=5,
    first=((1_000, 10_000), (10_000, 100_000)),
    latent=(1_000, 10_000),
    latency=0.05,
    recorded=(10_000, 100_000),
    most_recorded=100_000,
    creates=1_000,
    latent_creates=500,
    live_beside=1_000,
    curve=(1_000, 10_000, 100_000),
)

SMOKE = Sizes(
    pairs=1,
    first=((50, 500),),
    latent=(50, 500),
    latency=0.002,
    recorded=(500, 500),
    most_recorded=500,
    creates=20,
    latent_creates=20,
    live_beside=300,
    curve=(500,),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The most that reconciler may take; None is no matter."""

    times: float | None = None
    seconds: float | None = None
    megabytes: float | None = None
    requests: int | None = None

    def __str__(self) -> str:
        told = [
            self.times and f"{self.times:g} x floor",
            self.seconds and f"{self.seconds:g} s",
            self.megabytes and f"{self.megabytes:g} MB",
            self.requests and f"{self.requests} requests",
        ]
        return "≤ " + ", ".join(part for part in told if part)

    def met(self, figure: Figure, times: float) -> bool:
        """Whether a figure is within all of it."""
        bounds = (
            (times, self.times),
            (figure.seconds, self.seconds),
            (figure.mebibytes * 1.048576, self.megabytes),
            (sum(figure.requests.values()), self.requests),
        )
        return all(most is None or value <= most for value, most in bounds)


@dataclass(frozen=True, slots=True)
class Row:
    """Some work, and who does it: the floor first, reconciler last."""

    work: str
    ways: Sequence[Way]
    wanted: Wanted
    counts: Callable[[], dict[str, int]] = dict
    syncs: str = ""


@dataclass(frozen=True, slots=True)
class Peers:
    """The interpreters of what others do the work with, each in an environment of its own."""

    sdk: Path
    octodns: Path


class Benchmark:
    """The rows, each measured as soon as what it needs is there."""

    def __init__(
        self, work: Path, sizes: Sizes, only: str, times: str, peers: Peers | None, *, profile: bool
    ) -> None:
        self._work, self._sizes, self._only, self._times, self._peers = work, sizes, only, times, peers
        self._profile = profile
        cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        self._core = cores[-1] if len(cores) > 1 else None
        if self._core is not None:
            os.sched_setaffinity(0, set(cores[:-1]))  # and so are all who are measured, but not the server
        self.unmet: list[str] = []
        self.measured = 0
        self.profiles: list[str] = []
        #: Seconds by size, by what was measured.
        self.points: dict[str, dict[int, float]] = {"floor": {}, "first plan": {}, "next plan": {}}

    def rows(self) -> None:
        """Measure and print, row by row."""
        print(
            "| work | who | seconds | of the processor | MiB | requests | x floor | x floor, processor |",
            end="",
        )
        print(" wanted | met |\n|---|---|---|---|---|---|---|---|---|---|")
        self._start()
        for desired, live in self._sizes.first:
            self._first(desired, live)
        self._latent(*self._sizes.latent)
        self._next(*self._sizes.recorded)
        self._applies()

    def curve(self) -> None:
        """Cost over size, of what the rows have not measured yet as well."""
        for live in self._sizes.curve:
            if live in self.points["first plan"]:
                continue
            with self._server(live) as server:
                folder = worlds.project(self._work / f"curve-{live}", worlds.spread(live // 10, live))
                self._point(live, [self._httpx(server), worlds.ours(folder, server, fresh=True)], server)
        most = max(self._sizes.curve)
        with self._server(most) as server:
            for desired in self._sizes.curve:
                if desired in self.points["next plan"]:
                    continue
                folder = self._work / f"curve-next-{desired}"
                worlds.recorded(folder, worlds.spread(desired, most), server)
                figures = in_turn([worlds.ours(folder, server, fresh=False)], self._sizes.pairs)
                self.points["next plan"][desired] = middle(figures[0]).seconds

    def _point(self, live: int, ways: Sequence[Way], server: PageServer) -> None:
        floor, plan = in_turn(ways, self._sizes.pairs, server.counts)
        self.points["floor"][live] = middle(floor).seconds
        self.points["first plan"][live] = middle(plan).seconds

    @contextlib.contextmanager
    def _server(self, live: int) -> Iterator[PageServer]:
        with PageServer(live, times=self._times, core=self._core) as server:
            yield server

    def _wants(self, work: str) -> bool:
        return self._only in work

    def _httpx(self, server: PageServer) -> Way:
        return worlds.floor("httpx", _PYTHON, server)

    def _start(self) -> None:
        if self._wants(work := "start"):
            bare = Way("`python -c pass`", (sys.executable, "-c", "pass"), self._work)
            ours = Way("**reconciler --version**", (*worlds.RECONCILER, "--version"), self._work)
            self._row(Row(work, [bare, ours], Wanted(times=1.5)))

    def _first(self, desired: int, live: int) -> None:
        work = f"first plan, {desired:,} desired, {live:,} live"
        if self._wants(work):
            with self._server(live) as server:
                wanted = Wanted(times=1.5 if live >= 100_000 else 2.5)
                figures = self._row(self._planned(work, server, desired, live, wanted))
            self.points["floor"][live] = figures[0].seconds
            self.points["first plan"][live] = figures[-1].seconds

    def _latent(self, desired: int, live: int) -> None:
        work = f"first plan, {desired:,} / {live:,}, {1000 * self._sizes.latency:g} ms latency"
        if self._wants(work):
            with self._server(live) as server:
                server.set_latency(self._sizes.latency)
                self._row(self._planned(work, server, desired, live, Wanted(times=0.2)))

    def _planned(self, work: str, server: PageServer, desired: int, live: int, wanted: Wanted) -> Row:
        name = f"first-{desired}-{server.url.rpartition(':')[2]}"
        folder = worlds.project(self._work / name, worlds.spread(desired, live))
        file = folder / "directories"
        file.write_text("\n".join(worlds.spread(desired, live)))
        ways = [self._httpx(server), worlds.floor("raw", _PYTHON, server)]
        if self._peers:
            ways.append(worlds.floor("sdk", self._peers.sdk, server, [str(file)]))
            zone = folder.with_name(f"zone-{folder.name}")
            ways.append(worlds.octodns(zone, self._peers.octodns, server, worlds.spread(desired, live)))
        ways.append(worlds.ours(folder, server, fresh=True))
        return Row(work, ways, wanted, server.counts)

    def _next(self, desired: int, live: int) -> None:
        most = self._sizes.most_recorded
        bounds = {desired: Wanted(times=0.6, requests=2)}
        bounds.setdefault(most, Wanted(seconds=4, megabytes=400))
        for size, wanted in bounds.items():
            if not self._wants(work := f"next plan, {size:,} desired, {live:,} live"):
                continue
            with self._server(live) as server:
                folder = self._work / f"next-{size}"
                worlds.recorded(folder, worlds.spread(size, live), server)
                ways = [self._httpx(server), worlds.ours(folder, server, fresh=False)]
                figures = self._row(Row(work, ways, wanted, server.counts))
            self.points["next plan"][size] = figures[-1].seconds

    def _applies(self) -> None:
        sizes = self._sizes
        works = ((sizes.creates, 8, 0.0), (sizes.latent_creates, 16, sizes.latency))
        named = {
            f"apply {creates:,}{f', {1000 * latency:g} ms latency' if latency else ''}, {at_once} at once": (
                creates,
                at_once,
                latency,
            )
            for creates, at_once, latency in works
        }
        wanted = {work: what for work, what in named.items() if self._wants(work)}
        if not wanted:
            return
        with self._server(sizes.live_beside) as server:
            recorded = worlds.closed(self._work / "recorded", server)
            for work, (creates, at_once, latency) in wanted.items():
                server.set_latency(latency)
                sdk = self._peers.sdk if self._peers else None
                ways = worlds.applies(recorded, self._work, server, creates, at_once=at_once, sdk=sdk)
                # Creates that are under way together share syncs as chance has it; one at a time do not.
                syncs = "" if latency else f"; one at a time {worlds.syncs(ways[-1]):,} fsyncs"
                self._row(Row(work, ways, Wanted(times=1.2), server.counts, syncs))

    def _row(self, row: Row) -> list[Figure]:
        """Measure a row and print its lines; gives the medians of each way."""
        runs = in_turn(row.ways, self._sizes.pairs, row.counts, warm=self._sizes.pairs > 1)
        figures = [middle(figures) for figures in runs]
        for index, (way, figure) in enumerate(zip(row.ways, figures, strict=True)):
            times = [ratio(runs[index], runs[0], _wall), ratio(runs[index], runs[0], _processor)]
            asked = worlds.requests_in_words(figure.requests)
            wanted, met, syncs = "", "", ""
            if index == len(row.ways) - 1:
                is_met = row.wanted.met(figure, times[0])
                wanted, met, syncs = str(row.wanted), "yes" if is_met else "**no**", row.syncs
                self.measured += 1
                if not is_met:
                    self.unmet.append(row.work)
                    if self._profile:
                        self.profiles.append(profile(row.work, way))
            took = f"{figure.seconds:.3f} | {figure.cpu:.3f} | {figure.mebibytes:.0f}"
            print(
                f"| {row.work} | {way.name} | {took} | {asked}{syncs} |"
                f" {times[0]:.2f} | {times[1]:.2f} | {wanted} | {met} |",
                flush=True,
            )
        return figures


def _wall(figure: Figure) -> float:
    return figure.seconds


def _processor(figure: Figure) -> float:
    return figure.cpu


def profile(work: str, way: Way) -> str:
    """Where the time of reconciler went: the functions that took most, with all that they called."""
    way.prepare()
    file = way.folder / "profile"
    command = [sys.executable, "-m", "cProfile", "-o", str(file), *way.command[1:]]
    subprocess.run(
        command, cwd=way.folder, env=surroundings(way.environment), stdout=subprocess.DEVNULL, check=True
    )
    show = "import pstats, sys; s = pstats.Stats(sys.argv[1]).strip_dirs(); "
    show += "s.sort_stats('cumulative').print_stats(45); s.sort_stats('tottime').print_stats(20)"
    done = subprocess.run([sys.executable, "-c", show, str(file)], capture_output=True, text=True, check=True)
    return f"\n## {work}\n\n{done.stdout}"


def peers() -> Peers:
    """LlamaCloud's own package, where `faults.py` has it as well, and octoDNS."""
    from faults import environment_of_package

    return Peers(environment_of_package(), worlds.octodns_python())


def report_curve(points: dict[str, dict[int, float]], plot: Path | None) -> None:
    """Cost over size as a table, as exponents, and as a plot."""
    sizes = sorted({size for series in points.values() for size in series})
    print(
        "\n| seconds at | " + " | ".join(f"{size:,}" for size in sizes) + " | exponent | of the last step |"
    )
    print("|---" * (len(sizes) + 3) + "|")
    for name, series in points.items():
        cells = [f"{series[size]:.2f}" if size in series else "" for size in sizes]
        whole = exponent(series)
        steps = sorted(series)[-2:]
        last = exponent({size: series[size] for size in steps})
        print(f"| {name} | " + " | ".join(cells) + f" | {whole:.2f} | {last:.2f} |")
    print("\nfirst plan: size live, a tenth of it desired. next plan: size desired, the largest live.")
    print("Wanted: exponents of at most 1.1.")
    if plot is not None:
        plot.write_text(svg(points))
        print(f"Plot: {plot}")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--pairs", type=int, help="how many times each way is run")
    options.add_argument("--only", default="", metavar="WORDS", help="rows whose work has these words")
    options.add_argument("--no-peers", action="store_true", help="leave LlamaCloud's package and octoDNS out")
    options.add_argument("--times", choices=("even", "bursts"), default="even", help="when batches were made")
    options.add_argument("--no-curve", action="store_true", help="leave cost over size out")
    options.add_argument("--plot", type=Path, metavar="FILE", help="write cost over size as an SVG")
    options.add_argument("--profile", action="store_true", help="profile what is not met")
    options.add_argument("--smoke", action="store_true", help="little of everything, to see that it works")
    chosen = options.parse_args()
    sizes = SMOKE if chosen.smoke else _FULL
    if chosen.pairs:
        sizes = replace(sizes, pairs=chosen.pairs)
    others = None if chosen.smoke or chosen.no_peers else peers()
    load = os.getloadavg()[0]
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores,", end=" "
    )
    print(f"load {load:.1f} before; medians of {sizes.pairs}\n")
    with tempfile.TemporaryDirectory() as name:
        benchmark = Benchmark(Path(name), sizes, chosen.only, chosen.times, others, profile=chosen.profile)
        benchmark.rows()
        if not chosen.no_curve and not chosen.only:
            benchmark.curve()
            report_curve(benchmark.points, chosen.plot)
    print(f"\n{benchmark.measured - len(benchmark.unmet)} of {benchmark.measured} rows met;", end=" ")
    print(f"load {os.getloadavg()[0]:.1f} after")
    print("".join(benchmark.profiles), end="")


if __name__ == "__main__":
    main()
