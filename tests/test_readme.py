"""The README's commands run, and what it names exists."""

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

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]
RUNNABLE = [line for line in COMMANDS if not line.startswith(("make", "python -m pip"))]
OURS = {"python": [sys.executable], "recbole-llminit": [sys.executable, "-m", "recbole_llminit.cli"]}


@pytest.mark.slow
def test_commands_run_in_the_order_they_are_shown(tmp_path: Path) -> None:
    """In a folder that holds what a checkout does; only the long training is cut to one epoch."""
    for name in ("run_recbole_llminit.py", "recbole_llminit", "props", "atomic_data"):
        (tmp_path / name).symlink_to(ROOT / name)
    for line in RUNNABLE:
        head, *rest = shlex.split(line)
        run = [*OURS[head], *rest]
        if "--dataset=ml-100k" in line and "--epochs" not in line:
            run.append("--epochs=1")
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"


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
