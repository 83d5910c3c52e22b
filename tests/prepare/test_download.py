"""Test downloads from a local server: complete, interrupted and resumed, checked, and refused."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket

import pytest

from recbole_llminit import cli
from recbole_llminit.prepare.download import download
from recbole_llminit.utils.errors import UserError
from tests.prepare import raw
from tests.prepare.raw import prepared

BODY = random.Random(0).randbytes(1_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Server:
    """The files and the behaviour of a server, and the requests that it received."""

    files: dict[str, bytes]
    ranges: bool = True
    chunked: bool = False
    cuts: list[int] = field(default_factory=list)  # bytes after which each of the next answers breaks off
    statuses: list[int] = field(default_factory=list)  # sent by the next answers, in place of the file
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and Range header
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        state, wanted = self.state, self.headers.get("Range")
        state.asked.append((self.path, wanted))
        body = state.files.get(self.path, b"")
        partial = wanted is not None and state.ranges
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if partial else 0
        missing = 404 if self.path not in state.files else 416 if start and start >= len(body) else None
        if status := state.statuses.pop(0) if state.statuses else missing:
            self.send_error(status)
            return
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_body(body[start:])
        self.close_connection = True

    def send_body(self, body: bytes) -> None:
        cut = self.state.cuts.pop(0) if self.state.cuts else len(body)
        if self.state.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        before, after = (b"%x\r\n" % len(body), b"\r\n0\r\n\r\n") if self.state.chunked else (b"", b"")
        self.wfile.write(before + body[:cut] + (after if cut == len(body) else b""))

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a server on a free local port, and let the client's retries follow without a pause."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("recbole_llminit.prepare.download.time.sleep", lambda seconds: None)
    state = Server({"/file.bin": BODY})
    handler = type("Bound", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        yield state
        http.shutdown()
        thread.join()


def fetch(server: Server, url: str = "/file.bin") -> bytes:
    file = download(server.url + url, Path("raw"), quiet=True)
    assert file == Path("raw/file.bin")
    assert [path.name for path in Path("raw").iterdir()] == ["file.bin"]
    return file.read_bytes()


def test_a_whole_file(server: Server) -> None:
    assert fetch(server) == BODY
    assert server.asked == [("/file.bin", None)]


def test_a_cut_connection_is_resumed_where_it_broke_off(server: Server) -> None:
    server.cuts = [400_000, 100_000]
    assert fetch(server, f"/file.bin#sha256={SHA256}") == BODY
    assert server.asked == [
        ("/file.bin", None),
        ("/file.bin", "bytes=400000-"),
        ("/file.bin", "bytes=500000-"),
    ]


def test_a_download_of_an_earlier_run_is_resumed(server: Server) -> None:
    server.cuts = [300_000, 0, 0, 0]
    with pytest.raises(
        UserError, match=r"file.bin can't be fetched \(connection lost after 300,000 of 1,000,000"
    ):
        fetch(server)
    assert Path("raw/file.bin.part").stat().st_size == 300_000
    server.asked.clear()
    assert fetch(server) == BODY
    assert server.asked == [("/file.bin", "bytes=300000-")]


def test_a_server_without_ranges_starts_again(server: Server) -> None:
    server.cuts, server.ranges = [400_000], False
    assert fetch(server) == BODY
    assert [wanted for _, wanted in server.asked] == [None, "bytes=400000-"]


def test_a_partial_file_that_is_whole_is_taken(server: Server) -> None:
    raw.write("raw/file.bin.part", BODY)
    assert fetch(server, f"/file.bin#sha256={SHA256}") == BODY


def test_a_cut_connection_of_unknown_length_is_no_whole_file(server: Server) -> None:
    server.chunked, server.cuts = True, [400_000]
    assert fetch(server) == BODY


@pytest.mark.parametrize("digest", [SHA256, SHA256.upper()])
def test_a_checksum_is_checked(digest: str, server: Server) -> None:
    assert fetch(server, f"/file.bin#sha256={digest}") == BODY


def test_a_wrong_checksum_keeps_nothing(server: Server) -> None:
    with pytest.raises(UserError, match=f"SHA-256 is {SHA256}, expected {'0' * 64}; get it again"):
        fetch(server, f"/file.bin#sha256={'0' * 64}")
    assert list(Path("raw").iterdir()) == []


def test_a_file_that_is_there_is_not_fetched(server: Server) -> None:
    raw.write("raw/file.bin", "mine")
    assert fetch(server) == b"mine"
    assert server.asked == []


def test_a_file_that_is_there_is_checked(server: Server) -> None:
    raw.write("raw/file.bin", "damaged")
    with pytest.raises(UserError, match="SHA-256"):
        fetch(server, f"/file.bin#sha256={SHA256}")
    assert Path("raw/file.bin").read_text() == "damaged"


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusal_is_final(status: int, server: Server) -> None:
    server.statuses = [status]
    message = (
        rf"{server.url}/file.bin: the server answers {status} .*; get file.bin elsewhere and put it into raw/"
    )
    with pytest.raises(UserError, match=message):
        fetch(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(status: int, server: Server) -> None:
    server.statuses = [status]
    assert fetch(server) == BODY
    server.statuses = [status] * 9
    Path("raw/file.bin").unlink()
    with pytest.raises(UserError, match=f"can't be fetched .*{status}.*; get file.bin elsewhere"):
        fetch(server)


def closed_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1"])
def test_an_unreachable_host_says_what_to_put_where(host: str, server: Server) -> None:
    host = f"http://{host}:{closed_port()}"
    with pytest.raises(UserError) as caught:
        download(f"{host}/deep/reviews%20Beauty.json.gz?x=1", Path("data/beauty/raw"), quiet=True)
    assert f"{host}/deep/reviews%20Beauty.json.gz?x=1 can't be fetched (" in str(caught.value)
    assert "get reviews Beauty.json.gz elsewhere and put it into data/beauty/raw/" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:port/x.zip", "http://[/x.zip", "http:///x.zip", "http://a b/x.zip"]
)
def test_a_url_that_is_none(url: str, server: Server) -> None:
    with pytest.raises(UserError):
        download(url, Path("raw"), quiet=True)


def test_a_url_without_a_file_name(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["prepare", "ml", "-q", "--data-path=data", "--source=table"]
    server.files["/"] = b"<html>"
    assert cli.main([*argv, f"--url={server.url}/"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_server_that_does_not_speak_http(server: Server) -> None:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.zip"

        def answer() -> None:
            for _ in range(4):
                connection, _ = listener.accept()
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UserError, match=r"x.zip can't be fetched .*put it into raw/"):
            download(url, Path("raw"), quiet=True)


def zipped(folder: str) -> bytes:
    with zipfile.ZipFile("out.zip", "w") as archive:
        for file in Path(folder).iterdir():
            archive.write(file, f"ml-1m/{file.name}")
    return Path("out.zip").read_bytes()


def test_movielens_by_url(server: Server) -> None:
    flags = [flag for flag in raw.movielens_1m() if not flag.startswith("--path")]
    server.files["/ml-1m.zip"] = body = zipped("raw/ml-1m")
    expected = prepared("folder", *flags, "--path=raw/ml-1m")
    url = f"{server.url}/ml-1m.zip#sha256={hashlib.sha256(body).hexdigest()}"
    made = prepared("ml", *flags, "--url", url)
    assert (made.inter, made.item) == (expected.inter, expected.item)
    (file,) = made.card["files"]
    assert file == {
        "name": "ml-1m.zip",
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "url": url,
    }
    assert sorted(path.name for path in Path("data/ml").iterdir()) == [
        "card.json",
        "ml.inter",
        "ml.item",
        "raw",
    ]
    assert prepared("ml", *flags, "--url", url).inter == made.inter
    assert len(server.asked) == 1


def amazon(server: Server) -> tuple[list[str], list[str]]:
    """Serve the Amazon 2014 files; return the flags without the files, and the files' URLs."""
    flags = [flag for flag in raw.amazon_2014() if not flag.startswith(("--reviews", "--metadata"))]
    urls = []
    for file in sorted(Path("raw").iterdir()):
        server.files[f"/amazon/{file.name}"] = file.read_bytes()
        urls.append(f"{server.url}/amazon/{file.name}")
    return flags, urls


def test_amazon_by_urls_in_any_order(server: Server) -> None:
    expected = prepared("folder", *raw.amazon_2014())
    flags, urls = amazon(server)
    for name, order in (("one", urls), ("two", urls[::-1])):
        made = prepared(name, *flags, "--url", *order)
        assert (made.inter, made.item) == (expected.inter, expected.item)
    assert len(server.asked) == 4


def test_files_are_looked_for_before_they_are_fetched(server: Server) -> None:
    """Files are looked for in --path and in the dataset's folder raw/, compressed or not."""
    flags, (metadata, reviews) = amazon(server)
    expected = prepared("one", *flags, "--path=raw", "--url", reviews, metadata)
    assert server.asked == []
    unpacked = gzip.decompress(Path("raw/meta_Beauty.json.gz").read_bytes())
    raw.write("data/two/raw/meta_Beauty.json", unpacked)
    made = prepared("two", *flags, "--url", reviews, metadata)
    assert (made.inter, made.item) == (expected.inter, expected.item)
    assert [path for path, _ in server.asked] == ["/amazon/reviews_Beauty.json.gz"]


def test_a_failed_download_leaves_the_dataset(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    flags, urls = amazon(server)
    made = prepared("beauty", *flags, "--url", *urls)
    for file in Path("data/beauty/raw").iterdir():
        file.unlink()
    server.statuses = [404]
    assert cli.main(["prepare", "beauty", "-q", "--data-path=data", *flags, "--url", *urls]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "put it into data/beauty/raw/" in line
    assert raw.read("beauty") == made
