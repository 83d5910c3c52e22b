"""A language model behind an endpoint: the requests, how answers are read, and one-line errors."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_llminit.llm import EndpointLM, Recorded
from recbole_llminit.utils import endpoint as module
from recbole_llminit.utils.errors import UserError
from tests.llm.server import SECRET, Reply, Request, Server, body, said, status, words


def toy(server: Server | str, **options: Any) -> EndpointLM:
    url = server if isinstance(server, str) else server.url
    return EndpointLM("toy", url, key="own_base_url", **options)


def refused(server: Server | str) -> str:
    """Send a prompt, and return the error, which must be one line without the API key."""
    with pytest.raises(UserError) as error:
        toy(server).generate(["abc"], 8)
    line = str(error.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


def test_what_is_sent(server: Server) -> None:
    model = toy(server)
    assert model.generate(["abc"], 8) == [words("abc", 8)]
    (request,) = server.requests
    message = {"role": "user", "content": "abc"}
    assert request.asked == {"model": "toy", "messages": [message], "temperature": 0, "max_tokens": 8}
    assert request.key == SECRET
    assert model.facts == {"name": "toy", "kind": "endpoint", "base_url": server.url}


def test_answers_are_whole(server: Server) -> None:
    server.always = lambda request: said(" 1. a pen\n2. ink\n\n")
    assert toy(server).generate(["abc"], 8) == [" 1. a pen\n2. ink\n\n"]


def test_an_answer_without_text_is_empty(server: Server) -> None:
    """Servers send no text if the model refuses, or is cut off during its reasoning."""
    server.always = lambda request: said(None)
    assert toy(server).generate(["abc"], 8) == [""]


def test_a_server_at_home_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert toy(server).generate(["abc"], 8) == [words("abc", 8)]


@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_key_is_named_by_its_variable(server: Server, code: int) -> None:
    server.always = status(code, "Incorrect API key provided: {key}")
    assert refused(server) == f"{server.url} refuses the key in OPENAI_API_KEY ({code})"
    assert len(server.requests) == 1  # a wrong key is not tried again


@pytest.mark.parametrize("code", [400, 404, 422, 429, 500, 503])
def test_the_secret_is_in_no_message(server: Server, code: int) -> None:
    """The API key is masked even if the server repeats it in its answer."""
    server.always = status(code, "bad key {key}")
    line = refused(server)
    assert f"{server.url} answers {code} to model 'toy'" in line
    assert "bad key ***" in line
    assert line.endswith("; check own_base_url and the model's name, or try again later")


def test_too_many_requests_waits_as_long_as_told(server: Server) -> None:
    server.next = [status(429, Retry_After="0.4")]
    assert toy(server).generate(["abc"], 8) == [words("abc", 8)]
    first, second = server.requests
    assert first.asked == second.asked
    assert second.at - first.at >= 0.4


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_short_failure_is_tried_again(server: Server, code: int) -> None:
    server.next = [status(code)] * 3
    assert toy(server).generate(["abc", "abd"], 8) == [words("abc", 8), words("abd", 8)]
    assert len(server.requests) == 5


def test_a_long_failure_is_not_tried_for_ever(server: Server) -> None:
    server.always = status(500, "out of order")
    assert "out of order" in refused(server)
    assert len(server.requests) == 1 + module._RETRIES


def page(request: Request) -> Reply:
    return Reply(200, b"<html>welcome</html>", {"Content-Type": "text/html"})


def broken(request: Request) -> Reply:
    return Reply(200, said("abc").body[:-20], {"Content-Type": "application/json"})


def of(value: Any) -> Callable[[Request], Reply]:
    return lambda request: body(value)


@pytest.mark.parametrize(
    "reply",
    [
        page,
        broken,
        of({}),
        of([]),
        of(None),
        of({"choices": None}),
        of({"choices": []}),
        of({"choices": 3}),
        of({"choices": [None]}),
        of({"choices": [{}]}),
        of({"choices": [{"message": None}]}),
        of({"choices": [{"message": 7}]}),
    ],
)
def test_no_chat_completions(server: Server, reply: Callable[[Request], Reply]) -> None:
    server.always = reply
    assert f"{server.url} can't be reached or does not speak OpenAI's protocol" in refused(server)


@pytest.mark.parametrize("content", [7, {"a": 1}, [{"type": "text", "text": "abc"}], True])
def test_an_answer_that_is_no_text(server: Server, content: Any) -> None:
    server.always = lambda request: said(content)
    assert refused(server) == f"{server.url} answered with something else than text"


def test_nobody_listens(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    assert f"{url} can't be reached" in refused(url)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1", "http://[::1/v1", "", None]
)
def test_an_address_that_is_none(url: str | None) -> None:
    pytest.importorskip("openai")
    with pytest.raises(UserError, match="^own_base_url '.*' is no URL like https://host/v1$"):
        EndpointLM("toy", url, key="own_base_url")


@pytest.mark.parametrize("url", ["http://me:hidden@127.0.0.1/v1", "http://127.0.0.1/v1?key=hidden"])
def test_an_address_must_hold_no_secret(url: str) -> None:
    pytest.importorskip("openai")
    with pytest.raises(UserError, match="own_base_url holds a password or a query") as error:
        EndpointLM("toy", url, key="own_base_url")
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("secret", [SECRET + "ü", SECRET + "\nX: y"])
def test_a_key_that_is_no_header(server: Server, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    assert refused(server) == "OPENAI_API_KEY holds characters that no key has"


def test_it_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"own_base_url needs openai: pip install 'recbole-llminit\[api\]'"):
        toy("http://127.0.0.1/v1")


def test_requests_per_minute(server: Server) -> None:
    """Retries count as requests."""
    server.next = [status(429)]
    toy(server, requests_per_minute=600).generate(["a", "b", "c"], 8)
    times = [request.at for request in server.requests]
    assert len(times) == 4
    assert min(np.diff(times)) >= 0.1 - 0.05
    assert times[-1] - times[0] >= 3 * 0.1 - 0.05


def test_what_was_answered_outlasts_a_failure(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    server.always = status(500)
    server.next = [lambda request: said("one")] * 2
    with pytest.raises(
        UserError, match="answers 500 .*; 2 answers are kept in .*answers.jsonl: run the command"
    ):
        Recorded(toy(server), file).generate(["a", "b", "c"], 8)
    server.requests, server.always = [], lambda request: said("two")
    assert Recorded(toy(server), file).generate(["a", "b", "c"], 8) == ["one", "one", "two"]
    assert [request.prompt for request in server.requests] == ["c"]
    assert SECRET not in file.read_text()
