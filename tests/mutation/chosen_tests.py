"""Which tests may notice a mutant: those that run what was changed."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path


@dataclass(frozen=True)
class Coverage:
    """``seconds`` by test, the tests by file and line, and the ``modules`` that they import from elsewhere."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, Sequence[str]]]
    modules: Sequence[str]

    def tests_of(self, file: str, changed: range) -> list[str]:
        """Tests that run these lines, those first that run least else.

        No test runs what runs when a module is imported: there it is those of the module's own test file, those that
        run the function whose head it is or a line that has the name, then those of files that import the module, and
        then those that run anything of it. What is cached runs in the first of all tests that need it: so there, too.
        """
        found = self._in_order(self._tests_of_lines(file, changed))
        if not found or self._is_cached(file, changed.start):
            found += self._in_order([self._tests_of_own_file(file)])
            found += self._in_order(self._tests_of_users(file, changed.start))
            found += self._in_order([self._tests_of_importers(file)])
            found += self._in_order(self.lines.get(file, {}).values())
        return list(dict.fromkeys(found))

    def within(self, seconds: float, tests: Sequence[str]) -> list[str]:
        """As many of these tests as fit into that time; the quickest, if none does."""
        chosen: list[str] = []
        for test in tests:
            if self.seconds[test] <= seconds:
                chosen.append(test)
                seconds -= self.seconds[test]
        return chosen or sorted(tests, key=lambda test: self.seconds[test])[:1]

    def _in_order(self, found: Iterable[Sequence[str]]) -> list[str]:
        tests = {test for some in found for test in some}
        return sorted(tests, key=lambda test: (self._breadth[test], test))

    @cached_property
    def _breadth(self) -> Counter[str]:
        """How many lines each test runs."""
        return Counter(test for file in self.lines.values() for tests in file.values() for test in tests)

    def _tests_of_lines(self, file: str, lines: range) -> Iterator[Sequence[str]]:
        by_line = self.lines.get(file, {})
        return (by_line.get(str(line), ()) for line in lines)

    def _tests_of_users(self, file: str, line: int) -> Iterator[Sequence[str]]:
        for statement in ast.walk(_tree(file)):
            if isinstance(statement, ast.stmt) and line in _lines(statement):
                if isinstance(statement, ast.FunctionDef):
                    yield from self._tests_of_lines(file, _lines(statement))
                for name in _assigned(statement):
                    yield from self._tests_of_name(name)

    def _is_cached(self, file: str, line: int) -> bool:
        return any(
            "cache" in ast.unparse(decorator)
            for function in _functions(file, line)
            for decorator in function.decorator_list
        )

    def _tests_of_own_file(self, file: str) -> list[str]:
        name = f"/test_{Path(file).stem}.py::"
        return [test for test in self.seconds if name in test]

    def _tests_of_importers(self, file: str) -> list[str]:
        package, module = Path(file).with_suffix("").parts[-2:]
        imports = re.compile(rf"\bfrom (\w+\.)*{package} import .*\b{module}\b|\b{package}\.{module}\b")
        by_file: dict[str, list[str]] = {}
        for test in self.seconds:
            by_file.setdefault(test.partition("::")[0], []).append(test)
        return [
            test
            for name, tests in by_file.items()
            if imports.search(Path(name).read_text(encoding="utf-8"))
            for test in tests
        ]

    def _tests_of_name(self, name: str) -> Iterator[Sequence[str]]:
        used = re.compile(rf"\b{re.escape(name)}\b")
        for file, by_line in self.lines.items():
            for number, text in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
                if used.search(text):
                    yield by_line.get(str(number), ())
                    for function in _functions(file, number):
                        if number < function.body[0].lineno:  # in its head, which runs at import
                            yield from self._tests_of_lines(file, _lines(function))


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def _functions(file: str, line: int) -> Iterator[ast.FunctionDef]:
    """Those in which a line stands."""
    for statement in ast.walk(_tree(file)):
        if isinstance(statement, ast.FunctionDef) and line in _lines(statement):
            yield statement


def _lines(statement: ast.stmt) -> range:
    """With its decorators."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return range(first, (statement.end_lineno or first) + 1)


def _assigned(statement: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
