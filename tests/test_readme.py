"""The README's commands run, each in a separate test, and files and keys that it names exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recbole_llminit import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]
RUNNABLE = [line for line in COMMANDS if not line.startswith(("make", "python -m pip"))]
SCRIPT = RUNNABLE[1]  # this one is run in a separate process, as users run it


def trains(line: str) -> bool:
    return "--model=" in line


def arguments(line: str) -> list[str]:
    """Return a command's arguments, with the training cut to one epoch."""
    return [*shlex.split(line)[1:], *(["--epochs=1"] if trains(line) else [])]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder like a checkout. All commands share it, since some read what others have written."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("run_recbole_llminit.py", "recbole_llminit", "props", "atomic_data"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def done() -> set[str]:
    return set()


def carry_out(line: str, done: set[str]) -> None:
    """Run a command in this process, after those before it that wrote what it reads."""
    for earlier in RUNNABLE[: RUNNABLE.index(line)]:
        if earlier not in done and written(earlier) & paths(line):
            carry_out(earlier, done)
    script, *rest = arguments(line)
    assert (cli.run(rest) if script.endswith(".py") else cli.main([script, *rest])) == 0
    done.add(line)


def paths(line: str) -> set[str]:
    return set(re.findall(r"saved/[\w./-]+", line))


def written(line: str) -> set[str]:
    """Return the paths that a command writes to: results, checkpoints, prepared data."""
    return set(re.findall(r"--(?:result_file=|checkpoint_dir=|data-path )(saved/[\w./-]+)", line))


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in RUNNABLE if line != SCRIPT])
def test_commands_run(line: str, checkout: Path, done: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    carry_out(line, done)


@pytest.mark.slow
def test_the_script_runs_in_a_process_of_its_own(checkout: Path) -> None:
    run = subprocess.run(
        [sys.executable, *arguments(SCRIPT)], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.slow
def test_python_runs(tmp_path: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^0\.\d+$", done.stdout, flags=re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make")])
def test_make_knows_its_targets(line: str) -> None:
    target = shlex.split(line, comments=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run([*target, "-n"], cwd=ROOT, check=True, capture_output=True, env=environment)


def test_every_key_is_in_the_readme_with_its_default() -> None:
    for key, value in yaml.safe_load((ROOT / "props/overall.yaml").read_text()).items():
        if key.startswith("llm_") or key in ("protocol", "users_per_batch"):
            default = str(value).lower() if isinstance(value, bool) else value
            assert f"| `{key}` | `{default}`" in README, key


def test_every_property_is_explained() -> None:
    for file in (ROOT / "props").glob("**/*.yaml"):
        for line in file.read_text().splitlines():
            if re.match(r"\w+:", line):
                assert re.search(r"# \((\w+ or )?\w+\) \S", line), f"{file.name}: {line}"


def test_links_lead_somewhere() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / document).read_text()):
            assert (ROOT / target).exists(), target
