"""Test encoding by an endpoint with OpenAI's protocol: a local server that answers correctly or wrongly."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_llminit import cli
from recbole_llminit.embedding import shards
from recbole_llminit.embedding.table import load
from recbole_llminit.utils import endpoint as module

openai = pytest.importorskip("openai")

KEY = "sk-a-key-that-nobody-may-see"
ITEMS = {f"i{n}": f"title {n:02}" for n in range(10)}  # ten texts of equal length: shards of 4, 4 and 2
TABLE = Path("data/own/toy.safetensors")
WIDTH = 6


def vector(text: str) -> list[float]:
    return [byte / 16 for byte in hashlib.sha256(text.encode()).digest()[:WIDTH]]


@dataclass(frozen=True)
class Request:
    texts: list[str]
    model: str
    key: str
    at: float  # time in seconds


@dataclass(frozen=True)
class Reply:
    """The server's answer; `missing` is the number of bytes that are announced but not sent."""

    status: int
    body: bytes
    headers: dict[str, str]
    missing: int = 0


def right(request: Request) -> Reply:
    entries = [{"index": i, "embedding": vector(text)} for i, text in enumerate(request.texts)]
    return answer(entries)


def answer(entries: Any, **headers: str) -> Reply:
    body = {"object": "list", "data": entries, "model": "toy", "usage": {}}
    return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


def status(code: int, message: str = "no", **headers: str) -> Callable[[Request], Reply]:
    """Return an answer with an error; {key} in `message` stands for the request's key."""

    def reply(request: Request) -> Reply:
        body = json.dumps({"error": {"message": message.format(key=request.key)}}).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return Reply(code, body, {"Content-Type": "application/json", **given})

    return reply


def changed(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Request], Reply]:
    """Return an answer with the correct entries after `change`."""

    def reply(request: Request) -> Reply:
        entries = json.loads(right(request).body)["data"]
        return answer(change(entries) or entries)

    return reply


class Server(ThreadingHTTPServer):
    """A server that answers by the functions in `next`, one per request, and after them by `always`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.next: list[Callable[[Request], Reply]] = []
        self.always: Callable[[Request], Reply] = right

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def texts(self) -> list[str]:
        return [text for request in self.requests for text in request.texts]

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        return (self.next.pop(0) if self.next else self.always)(request)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        request = Request(asked["input"], asked["model"], key, time.monotonic())
        reply = self.server.reply(request) if self.path == "/v1/embeddings" else status(404)(request)
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": len(reply.body) + reply.missing}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def dataset(clean_place: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write ten items, and set shards of four, retries without pauses, the API key and no proxy."""
    monkeypatch.setattr(shards, "_TEXTS", 4)
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    TABLE.parent.mkdir(parents=True)
    rows = [f"{token}\t{title}" for token, title in ITEMS.items()]
    TABLE.with_name("own.item").write_text("\n".join(["item_id:token\ttitle:token_seq", *rows]) + "\n")


def encode(server: Server | str, *argv: str) -> int:
    url = server if isinstance(server, str) else server.url
    given = ["--data-path=data", "--template={title}", "--encoder=toy", f"--base-url={url}"]
    return cli.main(["encode", "own", *given, *argv])


def refused(server: Server | str, capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run, expect exit code 2, a one-line error and no table, and return the line."""
    capsys.readouterr()
    assert encode(server, "--quiet", *argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert not TABLE.exists()
    return lines[0]


def assert_right(prompt: str = "") -> None:
    table = load(TABLE)
    assert table.ids == tuple(ITEMS)
    np.testing.assert_array_equal(table.vectors, [vector(prompt + text) for text in ITEMS.values()])


def test_vectors_come_in_the_items_order(server: Server) -> None:
    assert encode(server) == 0
    assert_right()
    assert sorted(server.texts) == sorted(ITEMS.values())
    assert {(request.model, request.key) for request in server.requests} == {("toy", KEY)}


def test_the_answers_order_does_not_matter(server: Server) -> None:
    server.always = changed(lambda entries: entries[::-1])
    assert encode(server) == 0
    assert_right()


def test_identical_texts_are_sent_once_and_empty_ones_never(server: Server) -> None:
    rows = ["a\tpen", "b\tpen", "c\t", "d\tink"]
    TABLE.with_name("own.item").write_text("\n".join(["item_id:token\ttitle:token_seq", *rows]) + "\n")
    assert encode(server) == 0
    assert sorted(server.texts) == ["ink", "pen"]
    assert load(TABLE).ids == ("a", "b", "d")
    np.testing.assert_array_equal(load(TABLE).vectors, [vector("pen"), vector("pen"), vector("ink")])


@pytest.mark.parametrize(
    ("size", "sizes"), [(1, [1] * 10), (3, [3, 1, 3, 1, 2]), (4, [4, 4, 2]), (9, [4, 4, 2])]
)
def test_batch_size(server: Server, size: int, sizes: list[int]) -> None:
    assert encode(server, f"--batch-size={size}") == 0
    assert [len(request.texts) for request in server.requests] == sizes
    assert_right()


def test_prompt_is_sent_before_every_text(server: Server) -> None:
    assert encode(server, "--prompt=query: ") == 0
    assert all(text.startswith("query: title ") for text in server.texts)
    assert_right("query: ")


def test_the_card_says_what_is_known_of_an_endpoint(server: Server) -> None:
    assert encode(server, "--prompt=query: ") == 0
    card = json.loads(TABLE.with_suffix(".json").read_text())
    assert (card["encoder"], card["base_url"], card["prompt"]) == ("toy", server.url, "query: ")
    assert (card["revision"], card["pooling"], card["max_length"], card["precision"]) == (None,) * 4
    assert (card["items"], card["dim"], card["template"]) == (10, WIDTH, "{title}")


def test_what_is_there_is_not_paid_for_again(server: Server) -> None:
    assert encode(server) == 0
    assert encode(server) == 0
    assert len(server.texts) == 10
    assert encode(server, "--prompt=query: ") == 0
    assert len(server.texts) == 20
    assert_right("query: ")


def test_parts_and_merge(server: Server) -> None:
    for part in ("2/3", "3/3", "1/3"):
        assert encode(server, f"--shard={part}") == 0
        assert not TABLE.exists()
    assert encode(server, "--merge") == 0
    assert len(server.texts) == 10
    assert_right()


def test_a_server_at_home_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert encode(server) == 0
    assert_right()


@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_key_is_named_by_its_variable(
    server: Server, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = status(code, "Incorrect API key provided: {key}")
    line = refused(server, capsys)
    assert "OPENAI_API_KEY" in line
    assert str(code) in line
    assert len(server.requests) == 1  # a retry would not help


@pytest.mark.parametrize("code", [200, 400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_the_key_is_nowhere(
    server: Server, code: int, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The key is not shown or stored even if the server repeats it in its answer."""
    if code != 200:
        server.always = status(code, "bad key {key}")
    assert encode(server, "--atomic") == (0 if code == 200 else 2)
    assert server.requests[0].key == KEY
    captured = capfd.readouterr()
    assert KEY not in captured.out + captured.err
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


@pytest.mark.parametrize("key", [KEY + "\n", KEY + "ü", " "])
def test_a_key_that_is_no_header_is_one_line(
    server: Server, key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    if encode(server, "--quiet") == 0:  # the key was used without the white space
        assert {request.key for request in server.requests} <= {KEY, "none", ""}
    else:
        captured = capsys.readouterr()
        assert KEY not in captured.out + captured.err
        assert captured.err.count("\n") == 1
        assert "OPENAI_API_KEY" in captured.err


def test_too_many_requests_waits_as_long_as_told(server: Server) -> None:
    server.next = [status(429, Retry_After="0.4")]
    assert encode(server) == 0
    assert_right()
    first, second = server.requests[:2]
    assert first.texts == second.texts
    assert second.at - first.at >= 0.4


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_a_short_failure_is_tried_again(server: Server, code: int) -> None:
    server.next = [status(code)] * 3 + [right] + [status(code)] * 2
    assert encode(server) == 0
    assert len(server.requests) == 3 + 5
    assert_right()


def test_finished_shards_outlast_a_failure(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.next, server.always = [right, right], status(500, "out of order")
    line = refused(server, capsys)
    assert re.search(r"answers 500 to model 'toy' \(.*out of order.*finished shards are kept", line)
    assert len(server.requests) == 2 + 1 + module._RETRIES
    done = {text for request in server.requests[:2] for text in request.texts}
    server.requests, server.always = [], right
    assert encode(server) == 0
    assert set(server.texts) == set(ITEMS.values()) - done
    assert len(server.texts) == 2
    assert_right()


def test_a_request_that_was_answered_is_repeated_only_within_its_shard(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.next, server.always = [right] * 3, status(500)
    refused(server, capsys, "--batch-size=2")
    server.requests, server.always = [], right
    assert encode(server, "--batch-size=2") == 0
    assert len(server.texts) == 6
    assert_right()


def cut(request: Request) -> Reply:
    whole = right(request)
    return Reply(200, whole.body[:-20], whole.headers, missing=20)


def broken(request: Request) -> Reply:
    whole = right(request)
    return Reply(200, whole.body[:-20], whole.headers)


def page(request: Request) -> Reply:
    return Reply(200, b"<html>welcome</html>", {"Content-Type": "text/html"})


def nothing(request: Request) -> Reply:
    return Reply(200, b"", {"Content-Type": "application/json"})


def other(body: Any) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "reply",
    [
        cut,
        broken,
        page,
        nothing,
        other({}),
        other([]),
        other(None),
        other({"data": None}),
        other({"data": 3}),
    ],
    ids=["cut", "broken", "page", "nothing", "{}", "[]", "null", "no data", "data is a number"],
)
def test_no_embeddings(
    server: Server, reply: Callable[[Request], Reply], capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = reply
    line = refused(server, capsys)
    assert f"{server.url} can't be reached or does not speak OpenAI's protocol" in line


def test_a_truncated_answer_is_asked_for_again(server: Server) -> None:
    server.next = [cut, cut]
    assert encode(server) == 0
    assert_right()


def set_last(**entry: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda entries: [*entries[:-1], {**entries[-1], **entry}]


def without(name: str) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda entries: [{key: value for key, value in entry.items() if key != name} for entry in entries]


@pytest.mark.parametrize(
    "change",
    [
        without("embedding"),
        set_last(embedding=None),
        set_last(embedding=3.5),
        set_last(embedding="AAAAAAAAAAAAAAAA"),
        set_last(embedding=["a"] * WIDTH),
        set_last(embedding={"values": [1.0]}),
        set_last(embedding=[[1.0] * WIDTH]),
        lambda entries: [{**entry, "embedding": []} for entry in entries],
        lambda entries: [{**entry, "embedding": "AAAAAAAAAAAAAAAA"} for entry in entries],
        lambda entries: [{**entry, "embedding": [["a"]]} for entry in entries],
        lambda entries: [None for entry in entries],
        lambda entries: [7 for entry in entries],
    ],
    ids=[
        "none",
        "null",
        "number",
        "base64",
        "words",
        "object",
        "nested",
        "all empty",
        "all base64",
        "all nested words",
        "null entries",
        "number entries",
    ],
)
def test_embeddings_that_are_no_vectors(
    server: Server, change: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = changed(change)
    refused(server, capsys)


@pytest.mark.parametrize(
    "change",
    [
        set_last(index=0),
        set_last(index=9),
        set_last(index=-1),
        set_last(index=None),
        set_last(index="1"),
        lambda entries: [{**entry, "index": 0} for entry in entries],
        lambda entries: [{**entry, "index": entry["index"] + 1} for entry in entries],
        without("index"),
    ],
    ids=["repeated", "too large", "negative", "null", "word", "all zero", "from one", "none"],
)
def test_an_index_that_names_no_text_is_refused(
    server: Server, change: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody would notice that an item had the vector of another item."""
    server.always = changed(change)
    assert server.url in refused(server, capsys)


@pytest.mark.parametrize(
    ("change", "count"), [(lambda entries: entries[:-1], 3), (lambda entries: entries + entries[:1], 5)]
)
def test_a_wrong_number_of_vectors(
    server: Server, change: Callable[[Any], Any], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = changed(change)
    assert f"answered {count} vectors to 4 texts" in refused(server, capsys)


def test_no_vector_at_all(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.always = other({"data": []})
    assert server.url in refused(server, capsys)


def test_another_dimension_within_a_reply(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.always = changed(set_last(embedding=[1.0, 2.0]))
    assert "vectors of different dimensions" in refused(server, capsys)


def test_another_dimension_within_a_shard(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.next = [right, changed(lambda entries: [{**entry, "embedding": [1.0]} for entry in entries])]
    assert "vectors of different dimensions" in refused(server, capsys, "--batch-size=2")


def test_another_dimension_than_the_shards_before(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """This happens if the server's model was replaced between two commands."""
    server.next, server.always = [right], status(500)
    refused(server, capsys)
    server.always = changed(lambda entries: [{**entry, "embedding": [1.0, 2.0]} for entry in entries])
    assert "gave (4, 2) for 4 texts of dimension 6" in refused(server, capsys)


@pytest.mark.filterwarnings("error")  # a warning by NumPy would be a second line
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None, 1e300])
def test_numbers_that_are_not_finite(
    server: Server, bad: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = changed(set_last(embedding=[1.0] * (WIDTH - 1) + [bad]))
    assert "NaN or infinity for the text 'title 0" in refused(server, capsys)


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = refused(f"http://127.0.0.1:{port}/v1", capsys)
    assert f"http://127.0.0.1:{port}/v1 can't be reached" in line


def test_a_path_that_is_not_there(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(server.url.removesuffix("/v1"), capsys)
    assert "answers 404 to model 'toy'" in line


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "127.0.0.1/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://[::1/v1",
        "http://host:port/v1",
    ],
)
def test_base_url_that_is_none(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--base-url '{url}' is no URL like https://host/v1" in refused(url, capsys)


@pytest.mark.parametrize(
    "url", ["http://me:hidden@127.0.0.1/v1", "http://hidden@127.0.0.1/v1", "http://127.0.0.1/v1?key=hidden"]
)
def test_base_url_must_hold_no_secret(url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The address is written to the card."""
    line = refused(url, capsys)
    assert "--base-url holds a password or a query; put the key into OPENAI_API_KEY" in line
    assert "hidden" not in line
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["own.item"]


@pytest.mark.parametrize("flag", ["--revision=abc", "--max-length=16", "--precision=bf16"])
def test_what_only_a_local_model_can_do(
    server: Server, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{flag.partition('=')[0]} is for local models" in refused(server, capsys, flag)
    assert server.requests == []


@pytest.mark.parametrize("flag", ["--price=0.02", "--requests-per-minute=10", "--dry-run"])
def test_what_only_an_endpoint_can_do(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["encode", "own", "--data-path=data", "--template={title}", flag]) == 2
    assert f"{flag.partition('=')[0]} goes with --base-url" in capsys.readouterr().err


def test_dry_run_sends_nothing(server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert encode(server, "--dry-run", "--batch-size=4") == 0
    out = capsys.readouterr().out
    assert "10 texts in 3 requests, about 20 tokens (4 characters each): give --price to see the cost" in out
    assert encode(server, "--dry-run", "--price=50000") == 0
    assert "about $1.0000" in capsys.readouterr().out
    assert server.requests == []
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["own.item"]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_estimate_tells_how_many_requests_are_sent(
    server: Server, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(server, f"--batch-size={size}", "--dry-run") == 0
    before = capsys.readouterr().out
    assert encode(server, f"--batch-size={size}") == 0
    sent = f"10 texts in {len(server.requests)} requests"
    assert sent in capsys.readouterr().out
    assert sent in before


def test_the_estimate_counts_the_prompt(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The prompt is sent with every text, and costs money each time."""
    assert encode(server, "--dry-run", "--prompt=" + "x" * 32) == 0
    assert "about 100 tokens" in capsys.readouterr().out


def test_the_estimate_is_of_what_is_left(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.next, server.always = [right], status(500)
    refused(server, capsys)
    server.always = right
    assert encode(server) == 0
    assert "6 texts in " in capsys.readouterr().out


def test_the_estimate_of_a_part_is_of_that_part(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(server, "--shard=3/3", "--batch-size=4") == 0
    assert len(server.texts) == 2
    assert "2 texts in 1 requests" in capsys.readouterr().out


def test_requests_per_minute(server: Server) -> None:
    assert encode(server, "--batch-size=2", "--requests-per-minute=400") == 0
    times = [request.at for request in server.requests]
    assert len(times) == 5
    assert times[-1] - times[0] >= 4 * 0.15 - 0.05
    assert min(np.diff(times)) >= 0.15 - 0.05


def test_retries_keep_to_the_requests_per_minute(server: Server) -> None:
    server.next = [status(429), status(500)]
    assert encode(server, "--requests-per-minute=400") == 0
    assert min(np.diff([request.at for request in server.requests])) >= 0.15 - 0.05


@pytest.mark.parametrize("count", ["0", "-5", "nan"])
def test_requests_per_minute_is_a_positive_number(server: Server, count: str) -> None:
    try:
        code = encode(server, f"--requests-per-minute={count}")
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert server.requests == []
