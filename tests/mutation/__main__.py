"""`make mutate`: a sample of small changes to the code, and whether the tests that run the changed line notice.

Works on a copy of the project in ``.local/mutation``. What survives is listed with its change: either a test is
missing, or the change makes no difference to anybody (an equivalent mutant), which only a person can tell.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from cosmic_ray.work_item import MutationSpec

from tests.mutation.chosen_tests import Coverage
from tests.mutation.mutants import mutated_code, named, sample

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".local" / "mutation"
COVERAGE = FOLDER / "coverage.json"
VERDICTS = FOLDER / "verdicts.json"

TESTS_SECONDS = 20.0
"""For a mutant and a folder of tests: tests that took so long together when nothing was changed."""

_LEAST_SECONDS = 30.0
_TIMES_SLOWER = 5  # before a mutant counts as one that never ends


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    ``outcome`` is "killed", "survived", "not covered" or "broken" (it could not be tried); ``by`` is the folder of the
    tests that killed it.
    """

    module: str
    operator: str
    occurrence: int
    line: int
    change: str
    outcome: str
    by: str
    seconds: float

    @property
    def place(self) -> str:
        return f"{self.module}:{self.line} {self.operator.removeprefix('core/')}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("files", nargs="*", default=["functions", "layers/shared"], help="folders, FILE or FILE:LINE")
    parser.add_argument(
        "--tests", nargs="+", default=["tests/unit"], help="folders of tests, each tried on what the one before left"
    )
    parser.add_argument("--sample", type=int, default=60, metavar="N", help="how many mutants (default: 60)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another sample")
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N", help="no mutant is begun after that")
    parser.add_argument("--again", action="store_true", help="no sample, but what was not killed the last time")
    parser.add_argument("--measured", action="store_true", help="which test runs what is as it was the last time")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter that has what the tests need")
    chosen = parser.parse_args(arguments)

    # The program's path stays as it is: a link to another interpreter is what makes it a virtual environment.
    python = PROJECT / chosen.python
    os.chdir(_copy(PROJECT, FOLDER / "tree"))
    files, lines = _named(chosen.files)
    if chosen.again:
        before = [Verdict(**verdict) for verdict in json.loads(VERDICTS.read_text())]
        left = {(verdict.module, verdict.operator, verdict.occurrence) for verdict in before if not _is_killed(verdict)}
        mutants = named(files, left)
    else:
        mutants = sample(files, chosen.sample, chosen.seed, lines)
    print(f"{len(mutants)} mutants in {len(files)} files", flush=True)
    if not chosen.measured:
        _measure(python, chosen.tests)
    coverage = Coverage(**json.loads(COVERAGE.read_text()))

    verdicts: list[Verdict] = []
    ends_at = time.monotonic() + 60 * chosen.minutes
    with _runner(python, coverage.modules) as runner:
        trial = Trial(coverage, chosen.tests, runner)
        trial.check()
        for mutant in mutants:
            if time.monotonic() > ends_at:
                print(f"The time is over after {len(verdicts)} of {len(mutants)} mutants.")
                break
            verdict = trial.judge(mutant)
            verdicts.append(verdict)
            print(
                f"{len(verdicts):4} {verdict.outcome:11} {verdict.place} {verdict.seconds:.1f} s {verdict.by}",
                flush=True,
            )
            VERDICTS.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    _report(verdicts, chosen.tests)
    return 0


def _copy(project: Path, tree: Path) -> Path:
    """What git knows of, as it stands now, and links to the environments and the built layer."""
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
    """The files, each content once, and the lines in them, if any are named."""
    files: dict[bytes, Path] = {}
    lines: set[int] = set()
    for name in names:
        path, _, line = name.partition(":")
        for file in sorted(Path(path).rglob("*.py")) if Path(path).is_dir() else [Path(path)]:
            files.setdefault(file.read_bytes(), file)
        lines |= {int(line)} if line else set()
    return sorted(files.values()), frozenset(lines)


def _measure(python: Path, tests: Sequence[str]) -> None:
    print("running the tests once, to see which run what", flush=True)
    COVERAGE.unlink(missing_ok=True)
    # A test that fails without any change is left out.
    options = ["-q", "-p", "no:cacheprovider", "-n", "0", "-p", "tests.mutation.coverage_plugin"]
    command = [str(python), "-m", "pytest", *options, "--coverage-to", str(COVERAGE), *tests]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not COVERAGE.exists():
        raise SystemExit(f"The tests could not be run:\n{done.stdout}{done.stderr}")
    print(done.stdout.strip().rpartition("\n")[2], flush=True)


@contextmanager
def _runner(python: Path, modules: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that runs tests, and can signal no process but those that it has started."""
    namespace = ["unshare", *(["--user", "--map-root-user"] if os.getuid() else []), "--pid", "--mount-proc"]
    command = [*namespace, "--fork", "--kill-child", str(python), "-m", "tests.mutation.runner"]
    runner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        _ask(runner, modules)
        yield runner
    finally:
        assert runner.stdin is not None
        runner.stdin.close()
        runner.wait()


def _ask(runner: subprocess.Popen[str], question: Any) -> Any:
    def pipe(end: IO[str] | None) -> IO[str]:
        assert end is not None
        return end

    pipe(runner.stdin).write(json.dumps(question) + "\n")
    pipe(runner.stdin).flush()
    answer = pipe(runner.stdout).readline()
    if not answer:
        raise SystemExit("The tests can't be run in a namespace of their own (unshare --pid).")
    return json.loads(answer)


@dataclass
class Trial:
    """Tries mutants with folders of tests, one after the other.

    A test that fails is trusted if it passes alone on the unchanged code, and is never run again otherwise.
    """

    coverage: Coverage
    folders: Sequence[str]
    runner: subprocess.Popen[str]
    trusted: set[str] = field(default_factory=set)
    distrusted: set[str] = field(default_factory=set)

    def check(self) -> None:
        """Without any change, some tests pass."""
        quick = sorted(self.coverage.seconds, key=lambda test: self.coverage.seconds[test])[:10]
        if self._run(quick)["outcome"] != "passed":
            raise SystemExit("Tests that passed fail in a process that is forked.")

    def judge(self, mutant: MutationSpec) -> Verdict:
        file = Path(mutant.module_path)
        code = file.read_text(encoding="utf-8")
        mutated = mutated_code(mutant)
        chosen = self.coverage.tests_of(str(file), range(mutant.start_pos[0], mutant.end_pos[0] + 1))
        started = time.monotonic()
        outcome, by = "not covered", ""
        for folder in self.folders:
            tests = [test for test in chosen if test.startswith(folder)]
            if not tests:
                continue
            outcome = self._outcome(file, mutated, tests)
            if outcome != "survived":
                by = folder
                break
        return Verdict(
            str(file),
            mutant.operator_name,
            mutant.occurrence,
            mutant.start_pos[0],
            _difference(code, mutated),
            outcome,
            by,
            time.monotonic() - started,
        )

    def _outcome(self, file: Path, mutated: str, tests: Sequence[str]) -> str:
        while True:
            some = self.coverage.within(TESTS_SECONDS, [test for test in tests if test not in self.distrusted])
            with _changed(file, mutated):
                answer = self._run(some)
            if answer["outcome"] in ("passed", "nothing ran"):
                return "survived" if answer["outcome"] == "passed" else "broken"
            test = answer["test"] or some[0]
            if test not in self.trusted:
                alone = self._run([test])
                (self.trusted if alone["outcome"] == "passed" else self.distrusted).add(test)
            if test in self.trusted:
                return "killed"
            print(f"     left out, as it fails without a change: {test}", flush=True)

    def _run(self, tests: Sequence[str]) -> dict[str, str]:
        if not tests:
            return {"outcome": "nothing ran", "test": ""}
        seconds = [self.coverage.seconds[test] for test in tests]
        question = {
            "tests": tests,
            "test_seconds": _LEAST_SECONDS + _TIMES_SLOWER * max(seconds),
            "seconds": 2 * _LEAST_SECONDS + _TIMES_SLOWER * sum(seconds),
        }
        answer: dict[str, str] = _ask(self.runner, question)
        return answer


@contextmanager
def _changed(file: Path, code: str) -> Iterator[None]:
    """The file has other contents meanwhile. Its time tells Python that it is not what bytecode was made of."""
    before, times = file.read_bytes(), file.stat()
    file.write_text(code, encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def _difference(code: str, mutated: str) -> str:
    lines = difflib.unified_diff(code.splitlines(), mutated.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def _is_killed(verdict: Verdict) -> bool:
    return verdict.outcome == "killed"


def _report(verdicts: Sequence[Verdict], folders: Sequence[str]) -> None:
    for verdict in verdicts:
        if not _is_killed(verdict):
            print(f"\n{verdict.outcome}: {verdict.place}\n{verdict.change}")
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    judged = len(verdicts) - outcomes["broken"]
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    killed = 0
    for number, folder in enumerate(folders, 1):
        killed += sum(verdict.by == folder and _is_killed(verdict) for verdict in verdicts)
        print(f"{killed} of {judged} killed by {' and '.join(folders[:number])}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
