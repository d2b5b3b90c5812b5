"""Small changes to the code, made by cosmic-ray, and a sample of them."""

from __future__ import annotations

import ast
import itertools
import random
import tempfile
import warnings
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

Place = tuple[int, int]
"""A line, from 1, and a column, from 0."""


def sample(files: Sequence[Path], count: int, seed: int, lines: Set[int] = frozenset()) -> list[MutationSpec]:
    """At most ``count`` mutants, one at a place, all places alike; the same for the same seed and files.

    ``lines``, if there are any, are those that may change.
    """
    places: dict[tuple[str, Place], list[MutationSpec]] = {}
    for mutant in _all_mutants(files):
        if not lines or mutant.start_pos[0] in lines:
            places.setdefault((str(mutant.module_path), mutant.start_pos), []).append(mutant)
    chooser = random.Random(seed)
    in_any_order = chooser.sample(sorted(places), len(places))
    chosen = (chooser.choice(places[place]) for place in in_any_order)
    return list(itertools.islice(filter(_is_python, chosen), count))


def named(files: Sequence[Path], names: Set[tuple[str, str, int]]) -> list[MutationSpec]:
    """The mutants of these names: file, operator, and which of the operator's places in the file."""
    return [
        mutant
        for mutant in _all_mutants(files)
        if (str(mutant.module_path), mutant.operator_name, mutant.occurrence) in names
    ]


def _all_mutants(files: Sequence[Path]) -> Iterator[MutationSpec]:
    without_effect = {file: list(_without_effect(file)) for file in files}
    with tempfile.TemporaryDirectory() as folder, use_db(str(Path(folder, "mutants.sqlite")), WorkDB.Mode.create) as db:
        init(files, db, {})
        mutants = itertools.chain.from_iterable(item.mutations for item in db.work_items)
        yield from sorted(
            (
                mutant
                for mutant in mutants
                if not any(start <= mutant.start_pos < end for start, end in without_effect[mutant.module_path])
            ),
            key=lambda mutant: (str(mutant.module_path), mutant.operator_name, mutant.occurrence),
        )


def _is_python(mutant: MutationSpec) -> bool:
    """A star that is no product becomes a quotient, too; and that a literal is another object, every linter tells.

    And cosmic-ray breaks off where an exception that it replaces has a dotted name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(mutated_code(mutant), mutant.module_path, "exec")
        except (SyntaxError, AttributeError):
            return False
    return True


def mutated_code(mutant: MutationSpec) -> str:
    """The file with the mutant in it."""
    code = Path(mutant.module_path).read_text(encoding="utf-8")
    mutated: str | None = mutate_code(code, get_operator(mutant.operator_name)(), mutant.occurrence)
    return mutated or code


def _without_effect(file: Path) -> Iterator[tuple[Place, Place]]:
    """Types, the imports that only they need, how a dataclass is stored, and which arguments need their name.

    No test can see a change there.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        found = [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.ClassDef):
            found += [decorator for decorator in node.decorator_list if "dataclass" in ast.unparse(decorator)]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found.append(node.test)
        if isinstance(node, ast.FunctionDef) and node.args.kwonlyargs:
            named = node.args.kwonlyargs[0]
            before_it: list[ast.arg | ast.expr] = [*node.args.posonlyargs, *node.args.args, *node.args.defaults]
            last = max(((part.end_lineno or 0, part.end_col_offset or 0) for part in before_it), default=None)
            yield last or (node.lineno, node.col_offset), (named.lineno, named.col_offset)
        for part in found:
            if isinstance(part, ast.expr):
                before = 1 if isinstance(node, ast.ClassDef) else 0  # the @
                end = part.end_lineno or part.lineno, part.end_col_offset or 0
                yield (part.lineno, part.col_offset - before), end
