"""Small changes to the code, made by cosmic-ray, and a sample of them."""

from __future__ import annotations

import ast
import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

Place = tuple[int, int]
"""A line, from 1, and a column, from 0."""


def sample(files: Sequence[Path], count: int, seed: int, lines: frozenset[int] = frozenset()) -> list[MutationSpec]:
    """At most ``count`` mutants, one at a place, all places alike; the same for the same seed and files.

    ``lines``, if there are any, are those that may change.
    """
    places: dict[tuple[str, Place], list[MutationSpec]] = {}
    for mutant in _all_mutants(files):
        if not lines or mutant.start_pos[0] in lines:
            places.setdefault((str(mutant.module_path), mutant.start_pos), []).append(mutant)
    chooser = random.Random(seed)
    chosen = chooser.sample(sorted(places), min(count, len(places)))
    return [chooser.choice(places[place]) for place in chosen]


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


def _without_effect(file: Path) -> Iterator[tuple[Place, Place]]:
    """Types, and how a dataclass is stored: no test can see a change there."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        found = [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.ClassDef):
            found += [decorator for decorator in node.decorator_list if "dataclass" in ast.unparse(decorator)]
        for part in found:
            if isinstance(part, ast.expr):
                before = 1 if isinstance(node, ast.ClassDef) else 0  # the @
                end = part.end_lineno or part.lineno, part.end_col_offset or 0
                yield (part.lineno, part.col_offset - before), end
