#!/usr/bin/env python3
"""Compile the Python files of an artefact for Lambda, whose folders are read-only.

    bytecode.py FOLDER PLACE [--python PYTHON]

Without bytecode Lambda compiles boto3, botocore and Powertools anew at every cold start. FOLDER is what will be at
PLACE (/opt or /var/task). The bytecode is not checked against its source (PEP 552), so that times and copies do not
matter, and holds the paths that the files will have, so that the same sources give the same bytes.

Bytecode depends on Python's version and not on the machine. A Python of Lambda's version is used where there is one:
this one, python3.13 on PATH, or one of pyenv's or uv's. Elsewhere Pyodide is, the same Python for Node.js, which npm
brings. Where neither is to be had, the artefact stays without bytecode, and standard error says so.
"""

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

RUNTIME = "3.13"  # of the functions, in template.yaml
PYODIDE = "0.29.5"  # the last line with that Python
PYODIDE_SHA512 = "TkYrUv9m8QmfImADKRmpwZulL48E0uUaBSO+dvRQKyAJc0qh9gu7jn8btyHPh3NZm1r2IH2YrJhIr7Q2B9urAw=="

# One process and a fixed order: how often a string occurs elsewhere decides how it is written.
COMPILE = """
import compileall, py_compile, sys, warnings
warnings.simplefilter("ignore")
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
folder, place = {folder!r}, {place!r}
paths = dict(stripdir=folder, prependdir=place)
if not compileall.compile_dir(folder, quiet=1, force=True, invalidation_mode=unchecked, **paths):
    raise SystemExit("some files could not be compiled")
"""

IN_NODE = """
import { loadPyodide } from "./pyodide.mjs";
const [folder, program] = process.argv.slice(2);
const python = await loadPyodide();
python.mountNodeFS("/artefact", folder);
python.runPython(program);
"""


def pythons() -> Iterator[str]:
    """Where a Python of Lambda's version may be; a name on PATH may be no more than a signpost to a version manager."""
    yield sys.executable
    if on_path := shutil.which(f"python{RUNTIME}"):
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    for folder in (*sorted(pyenv.glob(f"{RUNTIME}.*")), *sorted(uv.glob(f"cpython-{RUNTIME}.*"))):
        yield str(folder / "bin" / f"python{RUNTIME}")


def is_of_runtime_version(python: str) -> bool:
    """Does it run, and is it CPython of Lambda's version?"""
    ask = "import sys; print(sys.implementation.cache_tag)"
    try:
        done = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == f"cpython-{RUNTIME.replace('.', '')}"


def compile_with_python(python: str, folder: Path, place: str) -> None:
    program = COMPILE.format(folder=str(folder), place=place)
    subprocess.run([python, "-I", "-B", "-c", program], check=True, stdin=subprocess.DEVNULL)


def compile_with_pyodide(folder: Path, place: str) -> None:
    """Compile with Node.js. Raises OSError or CalledProcessError when Pyodide can't be had or does not run."""
    program = COMPILE.format(folder="/artefact", place=place)
    with tempfile.TemporaryDirectory() as name:
        unpack_pyodide(Path(name))
        script = Path(name, "package", "compile.mjs")
        script.write_text(IN_NODE)
        subprocess.run(["node", script, folder, program], check=True, stdin=subprocess.DEVNULL)


def unpack_pyodide(folder: Path) -> None:
    """Have npm fetch Pyodide into `folder`, where it is unpacked in `package`. Raises OSError for other content."""
    command = ["npm", "pack", "--silent", f"pyodide@{PYODIDE}"]
    subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    archive = folder / f"pyodide-{PYODIDE}.tgz"
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != PYODIDE_SHA512:
        raise OSError(f"npm's pyodide {PYODIDE} is not the one that is pinned here")
    subprocess.run(["tar", "-xzf", archive.name], cwd=folder, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("place", help="where Lambda has it: /opt or /var/task")
    parser.add_argument("--python", help="compile for the version of this one instead of Lambda's")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.python:
        compile_with_python(arguments.python, folder, arguments.place)
    elif python := next(filter(is_of_runtime_version, pythons()), None):
        compile_with_python(python, folder, arguments.place)
    elif shutil.which("npm") and shutil.which("node"):
        try:
            compile_with_pyodide(folder, arguments.place)
        except (OSError, subprocess.CalledProcessError) as failure:
            say_without(f"Pyodide failed ({failure})")
    else:
        say_without("there is no npm either")
    return 0


def say_without(reason: str) -> None:
    sys.stderr.write(
        f"There is no Python {RUNTIME} here, and {reason}: the functions are built without bytecode, which works, but "
        f"adds about a second to every cold start. Install python{RUNTIME} or Node.js, and build again.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
