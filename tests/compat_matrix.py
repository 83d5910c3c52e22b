"""Install the package beside old and new NumPy, SciPy, pandas, torch and Python; run tests/smoke.py on each.

    python tests/compat_matrix.py
    python tests/compat_matrix.py --corners oldest --pythons --torch 2.2.2 2.6.0

Each environment is a virtual one under .venv-compat/, removed afterwards unless --keep is given; what
its installation and its run printed is in .venv-compat/NAME.log. Exits with 1 if an environment failed.

On Linux, PyPI's torch brings gigabytes of CUDA libraries; PIP_EXTRA_INDEX_URL set to PyTorch's index
of CPU wheels saves them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

CORNERS = {
    "oldest": ("numpy==1.26.0", "scipy==1.11.1", "pandas==2.0.0"),
    "numpy-1-new-scipy": ("numpy==1.26.4", "scipy>=1.13", "pandas==2.2.*"),
    "numpy-2.0": ("numpy==2.0.*", "scipy==1.14.*", "pandas==2.2.*"),
    "newest": ("numpy>=2", "scipy>=1.13", "pandas>=2.3,<3"),
}
PYTHON = "3.11"  # for the corners and for other torch versions
OTHER_PYTHONS = ("3.10", "3.12", "3.13")
TORCH = "2.13.0"
_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / ".venv-compat"
_SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "recbole_llminit", "props")
_DATA = "atomic_data/ml-100k"  # the part of atomic_data/ that is shipped
_COLUMNS = ("environment", "python", "numpy", "scipy", "pandas", "torch", "outcome", "seconds")


class Environment(NamedTuple):
    """A name, an interpreter's version, and what to install beside the package."""

    name: str
    python: str
    requirements: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Try every environment, print the table and what was skipped; return 1 if one failed."""
    args = arguments(argv)
    _FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        chosen = environments(args)
        found = {python: interpreter(python) for python in sorted({e.python for e in chosen})}
        rows = [row(e, str(found[e.python]), wheel, args.keep) for e in chosen if found[e.python]]
    print("\n" + markdown(rows))
    for line in skipped(args, [python for python, path in found.items() if path is None]):
        print(f"skipped: {line}")
    return 1 if any("failed" in cells[-2] for cells in rows) else 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("--corners", nargs="*", choices=CORNERS, default=list(CORNERS), help="on Python 3.11 (all)")
    add(
        "--pythons",
        nargs="*",
        choices=OTHER_PYTHONS,
        default=OTHER_PYTHONS,
        help="on the newest corner (all)",
    )
    add("--torch", nargs="*", default=[], metavar="VERSION", help="other versions, on Python 3.11 (none)")
    add("--keep", action="store_true", help="keep the environments, and go on with those kept before")
    return parser.parse_args(argv)


def environments(args: argparse.Namespace) -> list[Environment]:
    """Return the environments asked for, in the order in which they run."""
    torch = f"torch=={TORCH}"
    return [
        *(Environment(name, PYTHON, (torch, *CORNERS[name])) for name in args.corners),
        *(Environment(f"python-{p}", p, (torch, *CORNERS["newest"])) for p in args.pythons),
        *(Environment(f"torch-{t}", PYTHON, (f"torch=={t}", *beside_torch(t))) for t in args.torch),
    ]


def beside_torch(version: str) -> tuple[str, ...]:
    """Return the newest corner that runs with a torch version; before 2.3 it was built for NumPy 1."""
    major, minor = version.split(".")[:2]
    return CORNERS["newest" if (int(major), int(minor)) >= (2, 3) else "oldest"]


def skipped(args: argparse.Namespace, no_interpreter: Sequence[str]) -> list[str]:
    """Say what was not tried and why."""
    left = [f"corner {name}: not in --corners" for name in CORNERS if name not in args.corners]
    left += [f"Python {p}: not in --pythons" for p in OTHER_PYTHONS if p not in args.pythons]
    left += [f"Python {p}: neither on PATH nor in ~/.pyenv/versions" for p in no_interpreter]
    return left if args.torch else [*left, f"torch other than {TORCH}: only with --torch"]


def interpreter(python: str) -> Path | None:
    """Find an interpreter of a version: this one, on PATH, or one of pyenv's."""
    on_path = [shutil.which(f"python{python}"), shutil.which("python3"), shutil.which("python")]
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python"))
    candidates = [Path(sys.executable), *map(Path, filter(None, on_path)), *pyenv]
    return next((path for path in candidates if runs_as(path, python)), None)


def runs_as(path: Path, python: str) -> bool:
    """Tell whether an interpreter is of a version and can make environments; a shim may be neither."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == python


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel from a copy, for build/ in the checkout may hold files since removed."""
    source = folder / "source"
    source.mkdir()
    for name in (*_SOURCES, _DATA):
        if (path := _ROOT / name).is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.exists():
            shutil.copy(path, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def row(environment: Environment, base: str, wheel: Path, keep: bool) -> tuple[str, ...]:
    """Try an environment and return its row of the table."""
    name, python, requirements = environment
    print(f"{name}: Python {python}, {', '.join(requirements)}", flush=True)
    place, start = _FOLDER / name, perf_counter()
    if place.exists() and not keep:
        shutil.rmtree(place)
    outcome = run_all(commands(environment, base, place, wheel), _FOLDER / f"{name}.log")
    cells = (name, *versions(place), outcome, f"{perf_counter() - start:.0f}")
    print("  " + ", ".join(f"{k} {v}" for k, v in zip(_COLUMNS[1:], cells[1:], strict=True)), flush=True)
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
    return cells


def commands(environment: Environment, base: str, place: Path, wheel: Path) -> dict[str, list[str]]:
    """Return the steps of an environment: make it, install into it, run the smoke test."""
    python = str(bin_python(place))
    pip = [python, "-m", "pip", "install"]
    steps = {} if bin_python(place).exists() else {"venv": [base, "-m", "venv", str(place)]}
    if tuple(map(int, environment.python.split("."))) >= (3, 12):  # its pin on ray has no wheel there
        steps["install of recbole"] = [*pip, "--no-deps", "recbole==1.2.1"]
    steps["install"] = [*pip, "--upgrade", str(wheel), *environment.requirements]
    steps["reinstall"] = [*pip, "--force-reinstall", "--no-deps", str(wheel)]  # the version may be the same
    steps["smoke test"] = [python, str(_ROOT / "tests" / "smoke.py")]
    return steps


def bin_python(place: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def run_all(steps: dict[str, list[str]], log: Path) -> str:
    """Run commands until one fails and return the outcome; print the log's end of a failure."""
    with log.open("w", encoding="utf-8") as output:
        for name, command in steps.items():
            print(f"  {name}", flush=True)
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode:
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
                print("\n".join(f"  | {line}" for line in lines[-15:]))
                return f"{name} failed"
    return "passed"


def versions(place: Path) -> list[str]:
    """Return the installed versions of the table's columns, python's first; a dash where there is none."""
    code = (
        "import importlib.metadata as m, json, platform;"
        "v = {d.metadata['Name'].lower(): d.version for d in m.distributions()};"
        "print(json.dumps(v | {'python': platform.python_version()}))"
    )
    if not bin_python(place).exists():
        return ["-"] * len(_COLUMNS[1:-2])
    done = subprocess.run([bin_python(place), "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return [found.get(name, "-") for name in _COLUMNS[1:-2]]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
