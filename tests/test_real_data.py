"""A real dataset from outside the project, from matrix to metrics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recbole_llminit import cli
from tests.conftest import SHARED

OFFICE = SHARED / "office-2014"
pytestmark = pytest.mark.skipif(not OFFICE.is_dir(), reason=f"{OFFICE} is not there")


@pytest.mark.slow
def test_office_products_from_matrix_to_metrics() -> None:
    folder = Path("atomic_data/office-2014")
    folder.mkdir(parents=True)
    for kind in ("inter", "item"):
        shutil.copy(OFFICE / f"office-2014.{kind}", folder)
    rows = (OFFICE / "office-2014.item").read_text().splitlines()[1:]
    Path("ids.txt").write_text("\n".join(row.split("\t")[0] for row in rows))
    template = "--template={title}. {brand}. {description}"  # the texts' hash is kept and checked
    matrix = f"--from={OFFICE / 'all-mpnet-base-v2.npy'}"
    assert cli.main(["encode", "office-2014", matrix, "--ids=ids.txt", template]) == 0
    assert (
        cli.main(
            ["run", "-m", "LLMInitSGCL", "-d", "office-2014", "-q", "--epochs=0", "--result_file=r.json"]
        )
        == 0
    )
    result = json.loads(Path("r.json").read_text())
    assert result["counts"] == {"users": 4905, "items": 2420, "interactions": 53258}
    assert result["test"]["recall@10"] > 0.03  # before any training; a random order gives 10 / 2420
