"""Reports: the content of the page, and how a browser shows it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from recbole_llminit import cli
from recbole_llminit.experiment.grid import cells
from recbole_llminit.experiment.rows import read_rows, row_of, write_rows
from recbole_llminit.experiment.study import Study
from recbole_llminit.report.build import parts_of
from recbole_llminit.report.entries import first_seeds, of_files, of_rows
from recbole_llminit.report.examples import examples, pair_of, titles_of
from recbole_llminit.report.page import page, table_of
from tests.conftest import World, run, tastes

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
WATCHED = {"group_metrics": True, "table_statistics": True, "save_users": True}
GROUPS = {"groups": [{"by": "user activity", "group": "1-4", "users": 5, "metrics": {"ndcg@10": 0.1}}]}
STUDY = {
    "name": "sizes",
    "about": "Is <bigger> better?",
    "datasets": ["tastes"],
    "models": ["SGCL"],
    "settings": {"host": {}, "var": {"llm_selection": "var"}},
    "protocols": ["masked"],
    "seeds": [1, 2],
    "base": "host",
    "metrics": ["Recall@5", "NDCG@5"],
    "vary": {"embedding_size": [4, 8]},
    "keys": {"cold_items": 0.2},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Carry out a small study, with HTML in the items' titles, and return its page."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("sys.argv", ["test"])
        world = tastes(root / "data")
        titles = [f"{token}\tItem <b>{token}</b> & co" for token in world.tokens]
        items = "\n".join(["item_id:token\ttitle:token_seq", *titles]) + "\n"
        (world.root / "tastes" / "tastes.item").write_text(items)
        made = Study.of(STUDY, Path("sizes.yaml"))
        rows = []
        for cell in cells(made, world.root):
            file = root / "out" / "runs" / f"{cell.run.id}.json"
            run(cell.run.model, world, **cell.run.keys, **WATCHED, result_file=str(file))
            rows.append(row_of(cell, file))
        folder = root / "out" / "sizes"
        write_rows(rows, folder)
        (folder / "study.yaml").write_text(yaml.safe_dump(made.as_dict()))
        assert cli.main(["report", str(folder)]) == 0
    return folder / "report.html"


def test_the_page_has_every_part(study: Path) -> None:
    text = study.read_text()
    heads = [html.unescape(head) for head in re.findall(r"<h2[^>]*>(.*?)</h2>", text)]
    for part in (
        "tastes, masked",
        "NDCG@5 by embedding_size: tastes, masked",
        "Training curves: tastes, masked",
        "Gain by user activity (training interactions of the user): tastes, masked",
        "Gain by item popularity (training interactions of the target item): tastes, masked",
        "Warm and cold items, ndcg@5: tastes, masked",
        "Spectrum of the trained item table: tastes, masked",
        "Real users",
    ):
        assert part in heads
    assert "Is &lt;bigger&gt; better?" in text
    rows = [json.loads(line) for line in (study.parent / "rows.jsonl").read_text().splitlines()]
    wide = [row["ndcg@5"] for row in rows if row["setting"] == "var" and row["embedding_size"] == "8"]
    assert f"{sum(wide) / 2:.4f} ± " in text


def test_the_page_needs_no_other_file(study: Path) -> None:
    text = study.read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


def test_users_are_shown_by_titles_and_escaped(study: Path) -> None:
    text = study.read_text()
    assert "<p>Target item: <b>Item &lt;b&gt;i" in text
    cards = text.split('<div class="user">')[1:]
    assert len(cards) == 12
    assert "Item &lt;b&gt;i" in cards[0]
    assert "<b>i" not in text.split("Real users")[-1].replace("<b>Item", "")
    base, other = pair_of(of_files(sorted((study.parents[1] / "runs").glob("*-1-*.json"))))  # type: ignore[misc]
    assert base.is_base and not other.is_base


def in_a_browser(file: Path, width: int, tmp_path: Path) -> str:
    """Open a page in a frame of `width` pixels and return the document after its scripts ran."""
    frame = tmp_path / "frame.html"
    told = "document.title = [d.scrollWidth, document.querySelectorAll('.main-svg').length].join(' ')"
    script = f"setTimeout(() => {{const d = document.documentElement; {told}}}, 500)"
    watched = f"<script>addEventListener('load', () => {script})</script></body>"
    frame.write_text(file.read_text().replace("</body>", watched))
    phone = tmp_path / "phone.html"
    look = "const title = document.getElementById('f').contentDocument.title"
    phone.write_text(
        f'<iframe src="frame.html" width="{width}" height="3000" id="f"></iframe><script>setInterval('
        f"() => {{{look}; if (/^\\d/.test(title)) document.title = title}}, 200)</script>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=60000", "--dump-dom"]
    command = [str(BROWSER), *flags, phone.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_draws_the_figures_and_nothing_sticks_out(study: Path, width: int, tmp_path: Path) -> None:
    found = re.search(r"<title>(\d+) (\d+)</title>", in_a_browser(study, width, tmp_path))
    assert found
    scroll_width, drawings = map(int, found.groups())
    assert scroll_width <= width
    assert drawings >= 2 * 5  # plotly makes several drawings for each figure


def test_report_of_files(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for name, model in (("host", "BPR"), ("var", "LLMInitBPR"), ("again", "LLMInitBPR")):
        run(model, world, result_file=f"{name}.json", **(WATCHED if name != "again" else {}))
    files = ["host.json", "var.json", "again.json"]
    assert cli.main(["report", *files, "--metrics=NDCG@5", "--html=page.html"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("| model")  # the table is printed too
    assert out.rstrip().endswith("page.html")
    text = Path("page.html").read_text()
    host = json.loads(Path("host.json").read_text())
    line = ["tastes", "masked", "BPR", "2020", f"{host['test']['ndcg@5']:.4f}", str(host["best_epoch"])]
    assert cells_of(text, 0)[1][:6] == line
    assert text.count('<div class="user">') == 12
    assert "LLMInitBPR (again)" in text
    entries = of_files([Path(file) for file in files])
    assert [entry.is_base for entry in entries] == [True, False, False]
    assert first_seeds(entries) == entries
    assert titles_of(entries[0].result) == {}  # no .item file: tokens are shown
    assert "<li>i" in text


def result_file(name: str, model: str, protocol: str, seed: int, **config: Any) -> Path:
    """Write a result file without metrics, for tests of how results are labelled."""
    result = {"model": model, "dataset": "tastes", "protocol": protocol, "seed": seed}
    file = Path(f"{name}.json")
    file.write_text(
        json.dumps(result | {"test": {}, "seconds": {}, "config": {"seed": seed, "n_layers": 2, **config}})
    )
    return file


def test_files_of_one_setting_differ_in_the_seed_alone() -> None:
    """The plain model is the baseline, in whatever order the files come, and protocols are kept apart."""
    files = [
        result_file(f"{letter}-{protocol}-{seed}", model, protocol, seed, **more)
        for letter, model, more in (
            ("a", "LLMInitBPR", {"llm_selection": "var"}),
            ("b", "LLMInitBPR", {"llm_selection": "svd"}),
            ("c", "BPR", {}),
        )
        for protocol in ("masked", "paper")
        for seed in (1, 2)
    ]
    entries = of_files(files)
    names = {
        (entry.file.stem, entry.setting, entry.is_base) for entry in entries if entry.protocol == "paper"
    }
    assert names == {
        ("a-paper-1", "LLMInitBPR", False),
        ("a-paper-2", "LLMInitBPR", False),
        ("b-paper-1", "LLMInitBPR (b-paper-1)", False),
        ("b-paper-2", "LLMInitBPR (b-paper-1)", False),
        ("c-paper-1", "BPR", True),
        ("c-paper-2", "BPR", True),
    }
    titles = [title for title, _ in parts_of([replace(e, result=GROUPS) for e in entries], "ndcg@10")]
    assert [title for title in titles if title.startswith("Gain by user activity")] == [
        f"Gain by user activity (training interactions of the user): tastes, {protocol}"
        for protocol in ("masked", "unmasked")
    ]


def test_two_lists_of_one_seed_stand_side_by_side() -> None:
    """Both lists are of one seed, since it decides the split; validation chooses the setting."""
    made = [("a", "BPR", 1), ("b", "BPR", 2), ("c", "LLMInitBPR", 2), ("d", "LLMInitBPR", 3)]
    files = [result_file(name, model, "masked", seed) for name, model, seed in made]
    files.append(result_file("e", "LLMInitBPR", "masked", 2, llm_selection="svd"))
    for file, best in zip(files, (0.1, 0.9, 0.3, 0.9, 0.2), strict=True):
        file.with_suffix(".users.parquet").touch()
        file.write_text(json.dumps(json.loads(file.read_text()) | {"curve": {"valid": [0.0, best]}}))
    entries = of_files(files)
    assert [entry.file.stem for entry in pair_of(entries) or ()] == ["b", "c"]
    assert pair_of([entries[0], entries[3]]) is None


def test_lists_stand_under_their_models_and_what_was_found_is_marked() -> None:
    files = [result_file("a", "BPR", "masked", 1), result_file("b", "LLMInitBPR", "masked", 1)]
    for file, top in zip(files, (["x", "y"], ["hit", "z"]), strict=True):
        user = {"user": ["u"], "history": [["h"]], "positives": [["hit"]], "top": [top]}
        pd.DataFrame(user).to_parquet(file.with_suffix(".users.parquet"))
    base, other = (
        replace(entry, result=entry.result | {"config": {"data_path": "gone", "ITEM_ID_FIELD": "item_id"}})
        for entry in of_files(files)
    )
    text = examples(base, other)
    lists = dict(re.findall(r"<h4>(.*?)</h4><[ou]l>(.*?)</[ou]l>", text))
    assert lists == {
        "history": "<li>h</li>",
        "BPR": "<li>x</li><li>y</li>",
        "LLMInitBPR": "<li class=found>hit</li><li>z</li>",
    }


def cells_of(text: str, table: int) -> list[list[str]]:
    """Return the texts of a table's cells, row by row."""
    rows = re.findall(r"<table.*?</table>", text, flags=re.DOTALL)[table].split("<tr>")[1:]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_warm_and_cold_stand_in_their_columns_and_so_do_users_and_items() -> None:
    """The cell of a setting without cold items is empty."""
    items = [
        {"by": "items", "group": name, "users": 4, "metrics": {"ndcg@10": v}}
        for name, v in (("warm", 0.2), ("cold", 0.1))
    ]
    whole = [{"by": "all", "group": "all", "users": 5, "metrics": {"ndcg@10": 0.15}}]
    spectra = {
        f"{side}_embedding": {"effective_rank": rank, "shape": [9, 8], "singular_values": [1.0]}
        for side, rank in (("user", 3.0), ("item", 5.0))
    }
    files = [result_file("a", "BPR", "masked", 1), result_file("b", "LLMInitBPR", "masked", 1)]
    plain, other = of_files(files)
    entries = [
        replace(plain, result=plain.result | {"groups": [*whole, items[0]]}),
        replace(other, result=other.result | {"groups": [*whole, *items], "tables": spectra}),
    ]
    parts = dict(parts_of(entries, "ndcg@10"))
    assert cells_of(parts["Warm and cold items, ndcg@10: tastes, masked"], 0) == [
        ["backbone", "setting", "seeds", "all", "warm", "cold"],
        ["BPR", "BPR", "1", "0.1500", "0.2000", ""],
        ["BPR", "LLMInitBPR", "1", "0.1500", "0.2000", "0.1000"],
    ]
    assert cells_of(parts["Spectrum of the trained item table: tastes, masked"], 0) == [
        ["backbone", "setting", "effective rank, users", "items"],
        ["BPR", "LLMInitBPR", "3.0 of 8", "5.0 of 8"],
    ]


def test_the_base_of_a_study_is_the_studys(study: Path) -> None:
    rows = read_rows(study.parent)
    entries = of_rows(rows, study.parents[1] / "runs", "var", ["embedding_size"])
    assert {entry.setting for entry in entries if entry.is_base} == {"var"}
    assert {entry.group for entry in entries} == {"SGCL, embedding_size 4", "SGCL, embedding_size 8"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["folder"], "folder holds no rows.jsonl"),
        (["folder", "x.json"], "name it alone"),
        (["x.json", "folder"], "folder is a study's folder: name it alone"),
        (["folder", "--metrics=Hit@1"], "with the metrics of the study"),
        (["gone"], "`recbole-llminit experiment` writes a study's folder"),
        (["x.json", "--html=p.html"], "x.json is not a result file"),
        (["gone.json"], "gone.json does not exist"),
    ],
)
def test_what_can_not_be_reported(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    Path("x.json").write_text("{}")
    assert cli.main(["report", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not Path("p.html").exists()


def test_tables_are_escaped_and_numbers_stand_right() -> None:
    made = table_of(["name", "score"], [["<a>", "0.1"], ["b", ""]])
    assert "<td class=text>&lt;a&gt;</td><td>0.1</td>" in made
    assert "<title>&amp;</title>" in page("&", "", [])
