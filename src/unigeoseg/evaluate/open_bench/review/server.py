"""The server of the review page, for this machine alone; it needs no network."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Lock
from urllib.parse import unquote, urlsplit

from unigeoseg.errors import OptionError, UniGeoSegError
from unigeoseg.evaluate.open_bench.review.verdicts import (
    REASONS,
    Judgement,
    Verdict,
    VerdictStore,
)
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.geo.png import encode_png
from unigeoseg.prompt import Task
from unigeoseg.report.overlay import draw_sample
from unigeoseg.runtime.records import record_from_json
from unigeoseg.sample import Sample

HOST = "127.0.0.1"
_LARGEST_REQUEST = 64 * 1024  # bytes

Reply = tuple[int, str, bytes]
"""Status, content type and body."""


@dataclass(frozen=True, slots=True)
class VerdictMessage:
    """A verdict as the page sends it; see `Verdict`."""

    sample: str
    judgement: Judgement
    reason: str = ""
    text: str = ""


@dataclass(frozen=True)
class ReviewPass:
    """One reviewer's pass over a suite.

    Attributes:
        layout: The suite.
        verdicts: Where verdicts go.
        reviewer: Who judges.
    """

    layout: Layout
    verdicts: VerdictStore
    reviewer: str

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """All samples by id; ids are hashes, so any first part is a random one."""
        return dict(sorted((sample.id, sample) for sample in self.layout.samples()))

    @cached_property
    def _lock(self) -> Lock:
        return Lock()

    def state(self) -> Mapping[str, object]:
        """All samples in order with the reviewer's verdicts, for the page."""
        verdicts = self.verdicts.of(self.reviewer)
        return {
            "reviewer": self.reviewer,
            "suite": self.layout.suite.title,
            "reasons": REASONS,
            "samples": [
                self._sample_values(name, sample, verdicts.get(name))
                for name, sample in self.samples.items()
            ],
        }

    @staticmethod
    def _sample_values(name: str, sample: Sample, verdict: Verdict | None) -> Mapping[str, object]:
        return {
            "id": name,
            "text": sample.prompt.instruction(sample.width, sample.height),
            "fixable": sample.prompt.task is not Task.INTERACTIVE,
            "answer": sample.answer,
            "about": f"{sample.family} · {sample.category} · {sample.source}",
            "judgement": verdict.judgement if verdict else "",
            "reason": verdict.reason if verdict else "",
            "better": verdict.text if verdict else "",
        }

    def picture(self, name: str, *, outline: bool) -> bytes | None:
        """PNG of a sample, with the outline of its mask or without; None if there is none."""
        sample = self.samples.get(name)
        if sample is None:
            return None
        with self._lock:  # row groups are remembered, and not by several threads at a time
            pixels = self.layout.pixels(sample.image)
        return encode_png(draw_sample(pixels, sample) if outline else pixels)

    def judge(self, content: bytes) -> None:
        """Store a verdict from the page.

        Args:
            content: A `VerdictMessage` as JSON.

        Raises:
            DataError: If it is no verdict.
            OptionError: If it is of no use.
        """
        message = record_from_json(VerdictMessage, content, "the verdict")
        if message.sample not in self.samples:
            raise OptionError(f"the suite has no sample {message.sample!r}")
        self.verdicts.put(
            Verdict(message.sample, self.reviewer, message.judgement, message.reason, message.text)
        )


def bind_review_server(
    review: ReviewPass, port: int, ready: Callable[[str], None]
) -> ThreadingHTTPServer:
    """Bind the page to a port of this machine; call `serve_forever` on the server.

    Args:
        review: The suite, its verdicts and the reviewer.
        port: The port, 0 for any free one.
        ready: Called with the address of the page.

    Raises:
        OptionError: If the port is taken.
    """
    assert review.samples  # read before the first request

    class Handler(_Handler):
        pass

    Handler.review = review
    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise OptionError(f"port {port} cannot be used: {error}; give another --port") from error
    server.daemon_threads = True
    ready(f"http://{HOST}:{server.server_port}/")
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    review: ReviewPass

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        """The page, its state, its pictures."""
        self._send(self._get(unquote(urlsplit(self.path).path)))

    def do_POST(self) -> None:
        """A verdict."""
        self._send(self._post())

    def _get(self, path: str) -> Reply:
        if not self._is_local():
            return _message(403, "ask by the address 127.0.0.1")
        if path == "/":
            page = (files("unigeoseg.evaluate.open_bench.review") / "page.html").read_bytes()
            return 200, "text/html; charset=utf-8", page
        if path == "/state":
            return 200, "application/json", json.dumps(self.review.state()).encode()
        kind, _, name = path.strip("/").partition("/")
        if kind in ("outlined", "plain"):
            picture = self.review.picture(name, outline=kind == "outlined")
            if picture is not None:
                return 200, "image/png", picture
        return _message(404, "there is no such page")

    def _post(self) -> Reply:
        length = int(self.headers.get("Content-Length") or 0)
        if not self._is_local() or self.headers.get_content_type() != "application/json":
            self.close_connection = True
            return _message(403, "verdicts come from the page alone")
        if not 0 < length <= _LARGEST_REQUEST:
            self.close_connection = True
            return _message(413, f"a verdict has 1 to {_LARGEST_REQUEST} bytes")
        try:
            self.review.judge(self.rfile.read(length))
        except UniGeoSegError as error:
            return _message(400, str(error))
        return _message(200, "kept")

    def _is_local(self) -> bool:
        """Whether the Host header names this machine; other names may be DNS rebinding."""
        host = (self.headers.get("Host") or "").partition(":")[0]
        return host in (HOST, "localhost")

    def _send(self, reply: Reply) -> None:
        status, kind, body = reply
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _message(status: int, text: str) -> Reply:
    return status, "application/json", json.dumps({"message": text}).encode()
