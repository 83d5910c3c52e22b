"""ALLMRec with a text encoder that is trained too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_llminit import cli
from recbole_llminit.model.allmrec import text_encoder
from tests.conftest import Trained, World, evaluated_afresh, parts, run, settings, tastes

pytest.importorskip("sentence_transformers", reason="the extra [encode] is not installed")
WORDS = ["item", *(f"group{i}" for i in range(4)), *(f"n{i}" for i in range(40))]


def tiny_encoder(folder: Path, width: int = 24) -> str:
    """Save a random word encoder into a folder and return its path."""
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer
    from tokenizers import models as tokenizer_models
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(1)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(tokenizer_models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    shape = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=16, **shape))
    model.save_pretrained(folder / "words")
    fast.save_pretrained(folder / "words")
    words = models.Transformer(str(folder / "words"), max_seq_length=8)
    SentenceTransformer(modules=[words, models.Pooling(width)], device="cpu").save(str(folder / "encoder"))
    return str(folder / "encoder")


def titled(root: Path) -> World:
    """Write a world whose items have titles, except the last item."""
    world = tastes(root)
    titles = [f"i{i}\titem group{i % 4} n{i}" for i in range(39)] + ["i39\t"]
    lines = ["item_id:token\ttitle:token_seq", *titles]
    (root / world.name / f"{world.name}.item").write_text("\n".join(lines) + "\n")
    return world


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, str]:
    """Return a world with a table of vectors from the tiny encoder, and the path of that encoder."""
    folder = tmp_path_factory.mktemp("texts")
    world, encoder = titled(folder / "data"), tiny_encoder(folder)
    argv = ["encode", world.name, f"--data-path={world.root}", f"--encoder={encoder}", "--template={title}"]
    assert cli.main([*argv, "--name=tiny", "--quiet"]) == 0
    return Trained(world, folder), encoder


def keys(place: tuple[Trained, str], **more: Any) -> dict[str, Any]:
    trained, encoder = place
    wanted = {"llm_embedding": "tiny", "llm_missing": "mean", "allmrec_text_encoder": encoder}
    return {**wanted, "allmrec_backbone": trained.of("SASRec"), "learning_rate": 0.01, **more}


@pytest.fixture
def made(place: tuple[Trained, str]) -> Any:
    return parts("ALLMRec", place[0].world, **keys(place))


def test_it_starts_from_the_vectors_of_the_table(made: Any) -> None:
    table = made.model.text_vectors.clone()
    texts = made.model.eval().texts(torch.arange(41))
    torch.testing.assert_close(texts, table, atol=1e-5, rtol=0)
    (untitled,) = (~made.model.text_encoder.known[1:]).nonzero()[:, 0] + 1
    torch.testing.assert_close(texts[untitled], table[1:].mean(dim=0), atol=1e-5, rtol=0)  # llm_missing: mean
    assert not texts[0].any()


def test_it_reads_texts_as_the_table_was_made(place: tuple[Trained, str]) -> None:
    """The prompt before each text, and the length to which it is cut, are those on the table's card."""
    trained, encoder = place
    world = trained.world
    argv = ["encode", world.name, f"--data-path={world.root}", f"--encoder={encoder}", "--template={title}"]
    argv += ["--name=prompted", "--prompt=group1 n7 ", "--max-length=5", "--quiet"]
    assert cli.main(argv) == 0
    made = parts("ALLMRec", world, **keys(place, llm_embedding="prompted"))
    table = made.model.text_vectors.clone()
    assert not torch.allclose(table, parts("ALLMRec", world, **keys(place)).model.text_vectors)
    torch.testing.assert_close(made.model.eval().texts(torch.arange(41)), table, atol=1e-5, rtol=0)


def test_it_is_trained_in_full_precision(place: tuple[Trained, str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = text_encoder.sentence_transformer
    monkeypatch.setattr(text_encoder, "sentence_transformer", lambda *a, **k: made(*a, **k).bfloat16())
    encoder = parts("ALLMRec", place[0].world, **keys(place)).model.text_encoder
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_it_learns_and_ranks_by_what_it_learnt(made: Any) -> None:
    model, before = made.model, made.model.text_vectors.clone()
    batch = next(iter(made.train))
    loss = sum(model.calculate_loss(batch))
    loss.backward()
    gradients = [p.grad for p in model.text_encoder.parameters() if p.grad is not None]
    assert sum(gradient.abs().sum() for gradient in gradients) > 0
    for epoch in range(10):
        made.trainer._train_epoch(made.train, epoch)
    assert sum(model.calculate_loss(batch)).item() < loss.item()
    model.eval()
    model.cold = 10**6  # every item is represented by its text
    after = model.texts(torch.arange(41))
    known = model.text_encoder.known
    assert (after[known] - before[known]).abs().amax(dim=1).min() > 1e-3
    assert torch.equal(after[~known], before[~known])
    with torch.no_grad():
        alone = model.text_encoder(known.nonzero()[:1, 0])
    torch.testing.assert_close(after[known][:1], alone, atol=1e-5, rtol=0)
    users = next(iter(made.test))[0]
    expected = model.users(users) @ model.alignment.item_decoder(model.alignment.text_encoder(after)).T
    torch.testing.assert_close(model.full_sort_predict(users), expected)


def test_reconstruction_has_a_fixed_aim(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latent vectors pass gradients to the encoder; the targets of their reconstruction do not."""
    seen = []
    terms = made.model.alignment.terms

    def spy(e: Any, q: Any, items: Any, texts: Any, ids: Any) -> Any:
        seen.append((q.requires_grad, texts.requires_grad))
        return terms(e, q, items, texts, ids)

    monkeypatch.setattr(made.model.alignment, "terms", spy)
    made.model.calculate_loss(next(iter(made.train)))
    assert seen == [(True, False)]


def test_a_checkpoint_holds_the_encoder(place: tuple[Trained, str]) -> None:
    first = run("ALLMRec", place[0].world, checkpoint_dir="a", **keys(place, allmrec_cold=10**6))
    again = run("ALLMRec", place[0].world, checkpoint_dir="b", **keys(place, allmrec_cold=10**6))
    assert again["test"] == first["test"]
    file = next(Path("a").glob("*.pth"))
    state = torch.load(file, weights_only=False)["state_dict"]
    assert any(name.startswith("text_encoder.model.") for name in state)
    assert evaluated_afresh(str(file), "ndcg@5") == ["ALLMRec", str(first["test"]["ndcg@5"])]


def test_shuffled_texts_are_other_items(place: tuple[Trained, str]) -> None:
    made = parts("ALLMRec", place[0].world, **keys(place, llm_shuffle_items=True))
    model = made.model.eval()
    texts = model.texts(torch.arange(41))
    has_text = model.text_encoder.known
    own = parts("ALLMRec", place[0].world, **keys(place)).model.text_vectors
    assert not any(torch.allclose(texts[i], own[i], atol=1e-4) for i in range(1, 41) if has_text[i])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"allmrec_text_encoder": "./gone"}, "encoder './gone'"),
        ({"llm_embedding": "all-mpnet-base-v2"}, "has no template; set allmrec_text to one"),
        ({"allmrec_text": "{titel}"}, "no column 'titel' (there are title). Did you mean 'title'"),
    ],
)
def test_wrong_input(
    extra: dict[str, str], message: str, place: tuple[Trained, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = {**settings(place[0].world), **keys(place), "topk": "[1,5]", **extra}
    flags = [f"--{key}={value}" for key, value in given.items()]
    assert cli.main(["run", "-m", "ALLMRec", "-d", place[0].world.name, *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not list(Path().glob("saved/*.pth"))


def test_an_encoder_of_another_width(
    place: tuple[Trained, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_encoder(tmp_path, width=12)
    given = {**settings(place[0].world), **keys(place, allmrec_text_encoder=other), "topk": "[1,5]"}
    flags = [f"--{key}={value}" for key, value in given.items()]
    assert cli.main(["run", "-m", "ALLMRec", "-d", place[0].world.name, *flags]) == 2
    assert "makes 12 dimensions and llm_embedding 'tiny' has 24" in capsys.readouterr().err
