"""A real local server of one folder that answers range requests and counts its bytes.

It is a process of its own: GDAL holds Python's lock while it opens a URL.
"""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NEVER = 2**60


@dataclass(frozen=True)
class Served:
    """A folder under a URL."""

    url: str

    @property
    def sent(self) -> int:
        """Bytes of bodies that were sent so far."""
        with urllib.request.urlopen(f"{self.url}/sent") as answer:
            return int(answer.read())


@contextmanager
def serving(folder: Path, most: int = NEVER) -> Iterator[Served]:
    """Serve a folder on 127.0.0.1 until the end; what goes beyond `most` bytes breaks off."""
    line = [sys.executable, __file__, str(folder), str(most)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Served(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET."""

    folder, most, sent = Path(), NEVER, 0

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        if self.path == "/sent":
            self._send(str(Handler.sent).encode(), 200, {})
        else:
            self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.folder / self.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first, last, code = asked(self.headers.get("Range", ""), len(content))
        body = content[first : last + 1]
        if Handler.sent + len(body) * with_body > self.most:
            self.close_connection = True
            return
        Handler.sent += len(body) * with_body
        place = {"Content-Range": f"bytes {first}-{last}/{len(content)}"} if code == 206 else {}
        self._send(body, code, place, with_body=with_body)

    def _send(self, body: bytes, code: int, headers: dict, *, with_body: bool = True) -> None:
        self.send_response(code)
        headers = headers | {"Accept-Ranges": "bytes", "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def asked(header: str, length: int) -> tuple[int, int, int]:
    """First and last byte, and the status: 206 if a range was asked for."""
    found = re.match(r"bytes=(\d+)-(\d*)", header)
    if not found:
        return 0, length - 1, 200
    return int(found[1]), min(int(found[2] or length), length - 1), 206


if __name__ == "__main__":
    Handler.folder, Handler.most = Path(sys.argv[1]), int(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
