"""`make mutate`: a sample of small changes to the code, and whether the tests that run the changed line notice.

Works on a copy of the project in ``.local/mutation``. What survives is listed with its change: either a test is
missing, or the change makes no difference to anybody (an equivalent mutant), which only a person can tell.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome

from tests.mutation.mutants import sample

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".local" / "mutation"

TEST_SECONDS = 60.0
"""For a mutant: tests that took so long together when nothing was changed."""

_LEAST_TIMEOUT_SECONDS = 60.0
_TIMES_SLOWER = 5  # before a mutant counts as one that never ends


@dataclass(frozen=True)
class Coverage:
    """Which tests run a line: ``seconds`` by test, and the tests by file and line."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, Sequence[str]]]

    def tests_of(self, mutant: MutationSpec) -> list[str]:
        """Tests that run what was changed, those first that run least else, as many as fit.

        What runs when a module is imported is everybody's who runs something of the module.
        """
        by_line = self.lines.get(str(mutant.module_path), {})
        changed = [str(line) for line in range(mutant.start_pos[0], mutant.end_pos[0] + 1)]
        found = {test for line in changed for test in by_line.get(line, ())}
        if not found and any(line in by_line for line in changed):
            found = {test for tests in by_line.values() for test in tests}
        chosen: list[str] = []
        left = TEST_SECONDS
        for test in sorted(found, key=lambda test: (self._breadth[test], test)):
            if self.seconds[test] <= left or not chosen:
                chosen.append(test)
                left -= self.seconds[test]
        return chosen

    @cached_property
    def _breadth(self) -> Counter[str]:
        """How many lines each test runs."""
        return Counter(test for file in self.lines.values() for tests in file.values() for test in tests)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: "killed", "survived", "not covered" or "broken" (it could not be tried)."""

    place: str
    change: str
    outcome: str
    tests: int
    seconds: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("files", nargs="*", default=["functions", "layers/shared"], help="folders, FILE or FILE:LINE")
    parser.add_argument("--tests", nargs="+", default=["tests/unit"], help="the tests to choose from")
    parser.add_argument("--sample", type=int, default=60, metavar="N", help="how many mutants (default: 60)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another sample")
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N", help="no mutant is begun after that")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter that has what the tests need")
    chosen = parser.parse_args(arguments)

    tree = _copy(PROJECT, FOLDER / "tree")
    os.chdir(tree)
    # The program's path stays as it is: a link to another interpreter is what makes it a virtual environment.
    pytest = [str(PROJECT / chosen.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    files, lines = _named(chosen.files)
    mutants = sample(files, chosen.sample, chosen.seed, lines)
    print(
        f"{len(mutants)} mutants in {len(files)} files; running the tests once, to see which run what ...", flush=True
    )
    coverage = _measure(pytest, chosen.tests)

    verdicts: list[Verdict] = []
    ends_at = time.monotonic() + 60 * chosen.minutes
    for mutant in mutants:
        if time.monotonic() > ends_at:
            print(f"The time is over after {len(verdicts)} of {len(mutants)} mutants.")
            break
        verdict = _try(mutant, coverage, pytest)
        verdicts.append(verdict)
        print(f"{len(verdicts):4} {verdict.outcome:11} {verdict.place} ({verdict.tests} tests)", flush=True)
    _report(verdicts, chosen.seed)
    return 0


def _copy(project: Path, tree: Path) -> Path:
    """What git knows of, as it stands now, and links to the environments."""
    shutil.rmtree(tree, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listing.split("\0")):
        source, copy = project / name, tree / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for environment in project.glob(".venv*"):
        if not (tree / environment.name).exists():
            (tree / environment.name).symlink_to(environment)
    return tree


def _named(names: Sequence[str]) -> tuple[list[Path], frozenset[int]]:
    """The files, and the lines in them, if any are named."""
    files: set[Path] = set()
    lines: set[int] = set()
    for name in names:
        path, _, line = name.partition(":")
        files |= set(Path(path).rglob("*.py")) if Path(path).is_dir() else {Path(path)}
        lines |= {int(line)} if line else set()
    return sorted(files), frozenset(lines)


def _measure(pytest: Sequence[str], tests: Sequence[str]) -> Coverage:
    found = FOLDER / "coverage.json"
    found.unlink(missing_ok=True)
    # A test that fails without any change is left out.
    command = [*pytest, "-p", "tests.mutation.coverage_plugin", "--coverage-to", str(found), *tests]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not found.exists():
        raise SystemExit(f"The tests could not be run:\n{done.stdout}{done.stderr}")
    print(done.stdout.strip().rpartition("\n")[2], flush=True)
    return Coverage(**json.loads(found.read_text()))


def _try(mutant: MutationSpec, coverage: Coverage, pytest: Sequence[str]) -> Verdict:
    place = f"{mutant.module_path}:{mutant.start_pos[0]} {mutant.operator_name.removeprefix('core/')}"
    tests = coverage.tests_of(mutant)
    if not tests:
        return Verdict(place, "", "not covered", 0, 0.0)
    named = FOLDER / "tests.txt"
    named.write_text("\n".join(tests))
    seconds = sum(coverage.seconds[test] for test in tests)
    started = time.monotonic()
    result = mutate_and_test(
        [mutant], shlex.join([*pytest, "-x", f"@{named}"]), _LEAST_TIMEOUT_SECONDS + _TIMES_SLOWER * seconds
    )
    outcome = "broken" if result.test_outcome in (None, TestOutcome.INCOMPETENT) else str(result.test_outcome.value)
    change = [line for line in (result.diff or "").splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return Verdict(place, "\n".join(change), outcome, len(tests), time.monotonic() - started)


def _report(verdicts: Sequence[Verdict], seed: int) -> None:
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    left = [verdict for verdict in verdicts if verdict.outcome != "killed"]
    for verdict in left:
        print(f"\n{verdict.outcome}: {verdict.place}\n{verdict.change}")
    judged = len(verdicts) - outcomes["broken"]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"\nSeed {seed}: {outcomes['killed']} of {judged} mutants killed ({counts})")
    (FOLDER / "verdicts.json").write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
