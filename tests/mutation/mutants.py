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
    annotations = {file: list(_annotations(file)) for file in files}
    with tempfile.TemporaryDirectory() as folder, use_db(str(Path(folder, "mutants.sqlite")), WorkDB.Mode.create) as db:
        init(files, db, {})
        mutants = itertools.chain.from_iterable(item.mutations for item in db.work_items)
        yield from sorted(
            (
                mutant
                for mutant in mutants
                if not any(start <= mutant.start_pos < end for start, end in annotations[mutant.module_path])
            ),
            key=lambda mutant: (str(mutant.module_path), mutant.operator_name, mutant.occurrence),
        )


def _annotations(file: Path) -> Iterator[tuple[Place, Place]]:
    """Where types stand: a change there changes nothing when it runs."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                end = found.end_lineno or found.lineno, found.end_col_offset or 0
                yield (found.lineno, found.col_offset), end
