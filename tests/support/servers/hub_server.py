"""A hub on this machine: the part of its interface that `huggingface_hub` calls, over HTTP."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")


@dataclass
class Hub:
    """Repositories, what goes wrong with them, and what was asked for.

    Attributes:
        files: Content of each file of the one repository.
        path: Of the repository, "models/owner/name" or "datasets/owner/name".
        sent: Content sent instead of a file's own.
        cut: How often the transfer of a file still stops in the middle.
        broken: Files whose transfer is refused with status 500.
        status: Status of every answer about the repository, unless 200.
        listed: Further names in the list of files.
        gets: Files that were sent, with the first byte asked for.
    """

    files: dict[str, bytes]
    path: str = "models/owner/name"
    commit: str = "a" * 40
    port: int = 0
    sent: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    status: int = 200
    listed: tuple[str, ...] = ()
    gets: list[tuple[str, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def entries(self) -> list[dict[str, object]]:
        contents = self.files | dict.fromkeys(self.listed, b"harm")
        return [_entry(name, content) for name, content in contents.items()]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a port of its own."""

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(name: str, content: bytes) -> dict[str, object]:
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": name, "size": len(content), "oid": git}
    if name.endswith(LARGE):
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return entry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def _route(self) -> None:
        hub, path = self.state, unquote(urlsplit(self.path).path)
        pages = hub.path.removeprefix("models/")
        if hub.status != 200:
            self._answer(hub.status, b"")
        elif path == f"/api/{hub.path}/revision/main":
            siblings = [_sibling(entry) for entry in hub.entries()]
            self._json({"id": "owner/name", "sha": hub.commit, "siblings": siblings})
        elif path == f"/api/{hub.path}/revision/{hub.commit}":
            siblings = [_sibling(entry) for entry in hub.entries()]
            self._json({"id": "owner/name", "sha": hub.commit, "siblings": siblings})
        elif path == f"/api/{hub.path}/tree/{hub.commit}":
            self._json(hub.entries())
        elif path.startswith(f"/api/{hub.path}/"):
            self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith(f"/{pages}/resolve/{hub.commit}/"):
            self._resolve(path.split("/resolve/", 1)[1].split("/", 1)[1])
        elif path.startswith("/large/"):
            self._file(path.removeprefix("/large/"), {})
        else:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _resolve(self, name: str) -> None:
        hub = self.state
        entry = _entry(name, hub.files[name])
        headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{entry["oid"]}"'}
        if "lfs" not in entry:
            self._file(name, headers)
            return
        # large files lie on another host
        headers |= {"Location": f"http://localhost:{hub.port}/large/{name}"}
        headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"'}
        headers |= {"X-Linked-Size": str(entry["size"])}
        self._answer(302, b"", headers)

    def _file(self, name: str, headers: dict[str, str]) -> None:
        hub = self.state
        content = hub.sent.get(name, hub.files[name])
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        if self.command == "GET":
            hub.gets.append((name, start))
            if name in hub.broken and not hub.cut.get(name):
                self._answer(500, b"")
                return
        if asked:
            headers = headers | {"Content-Range": f"bytes {start}-/{len(content)}"}
        self._answer(206 if asked else 200, content[start:], headers, name)

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, name: str = ""
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.state.cut.get(name):
            self.state.cut[name] -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)


def _sibling(entry: dict[str, object]) -> dict[str, object]:
    found = {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        found["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": 130}
    return found
