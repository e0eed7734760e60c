"""A clock that does not wait, and a real local server that speaks the chat-completions protocol."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from unigeoseg.data.vlm.waiting import Waiting

Asked = dict[str, Any]


@dataclass
class Say:
    """One HTTP reply; `cut` promises more bytes than it sends."""

    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def completion(text: str | None, **changes: Any) -> Say:
    """A chat completion; changes: refusal, finish_reason, usage."""
    usage = changes.pop("usage", {"prompt_tokens": 100, "completion_tokens": 10})
    finish = changes.pop("finish_reason", "stop")
    message = {"role": "assistant", "content": text, **changes}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return Say(
        json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})
    )


@dataclass
class Time:
    """A clock that jumps when somebody sleeps."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def waiting(self) -> Waiting:
        return Waiting(clock=lambda: self.now_s, sleep=self.sleep, jitter=lambda: 1.0)


@dataclass
class Talker:
    """What a server was asked, and its address."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prompts(self) -> list[str]:
        return [request["messages"][0]["content"][0]["text"] for request in self.asked]

    @contextmanager
    def counted(self, request: Asked, headers: dict[str, str]) -> Iterator[int]:
        with self._lock:
            self.asked.append(request)
            self.headers.append(headers)
            number = len(self.asked) - 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield number
        finally:
            with self._lock:
                self._at_once -= 1


@contextmanager
def talking(say: Callable[[int, Asked], Say | None], pause_s: float = 0.0) -> Iterator[Talker]:
    """Serve; `say` gets a request's number and body. None hangs up without a word."""
    talker = Talker()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with talker.counted(request, headers) as number:
                reply = say(number, request)
                time.sleep(pause_s)
            if reply is not None:
                self._send(reply)

        def _send(self, reply: Say) -> None:
            body = reply.body.encode()
            self.send_response(reply.status)
            for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + 100 * reply.cut))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that timed out is part of the test."""

    server = Server(("127.0.0.1", 0), Handler)
    talker.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield talker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
