"""A small local server of OpenAI's chat completions that can also give wrong answers and errors."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "sk-a-key-that-nobody-may-see"


@dataclass(frozen=True)
class Request:
    asked: dict[str, Any]
    key: str
    at: float  # seconds

    @property
    def prompt(self) -> str:
        (message,) = self.asked["messages"]
        assert message["role"] == "user"
        return message["content"]


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]


def words(prompt: str, most: int) -> str:
    """Return words that depend on the prompt: sixteen, or `most` if that is fewer."""
    return " ".join([f"w{byte}" for byte in hashlib.sha256(prompt.encode()).digest()[:16]][:most])


def right(request: Request) -> Reply:
    return said(words(request.prompt, request.asked["max_tokens"]))


def said(content: Any) -> Reply:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return body({"id": "1", "object": "chat.completion", "created": 0, "model": "toy", "choices": [choice]})


def body(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def status(code: int, message: str = "no", **headers: str) -> Callable[[Request], Reply]:
    """Return a function that replies with an error; ``{key}`` in `message` becomes the API key."""

    def reply(request: Request) -> Reply:
        text = json.dumps({"error": {"message": message.format(key=request.key)}}).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return Reply(code, text, {"Content-Type": "application/json", **given})

    return reply


class Server(ThreadingHTTPServer):
    """A server that replies to each request by the first function in `next`, or by `always` if it is empty."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.next: list[Callable[[Request], Reply]] = []
        self.always: Callable[[Request], Reply] = right

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        return (self.next.pop(0) if self.next else self.always)(request)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        request = Request(asked, key, time.monotonic())
        reply = self.server.reply(request) if self.path == "/v1/chat/completions" else status(404)(request)
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": len(reply.body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *args: object) -> None:
        pass
