"""The cache of replies, by the content of their requests: no request is paid for twice.

One SQLite file in WAL mode, safe for threads and for processes of one machine; a network file
system is no place for it. Images are stored as digests, API keys not at all.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unigeoseg.errors import OutputUnwritableError
from unigeoseg.runtime.records import record_from_json, record_values

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used (
    model TEXT PRIMARY KEY, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL
) WITHOUT ROWID;
"""
_ADD_USE = """
INSERT INTO used VALUES (?, ?, ?) ON CONFLICT (model) DO UPDATE SET
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens
"""
_PATIENCE_S = 60.0  # other processes hold the file for milliseconds


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's reply: a text, or why there is none.

    Attributes:
        text: What the model wrote, well-formed or not.
        refusal: Why it would not answer, or None.
        input_tokens: What the server counted, or an estimate.
        output_tokens: The same for the reply.
    """

    text: str
    refusal: str | None
    input_tokens: int
    output_tokens: int


class ReplyCache:
    """Replies in `replies.sqlite` of a directory, which is made.

    Args:
        directory: Where the file is or will be.

    Raises:
        OutputUnwritableError: If the directory or file cannot be used, here and in each method.
        DataError: From `get` and `put`, if a stored reply is damaged.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "replies.sqlite"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        with self._open() as database:
            database.executescript(_TABLES)

    def get(self, key: str) -> Reply | None:
        """The stored reply to the request of this key, if there is one."""
        with self._open() as database:
            row = database.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return self._reply(row[0]) if row else None

    def put(self, key: str, request: Mapping[str, Any], reply: Reply) -> Reply:
        """Store a reply and count its tokens.

        Args:
            key: `request_key` of the request.
            request: With its "model"; images as digests.
            reply: What the server answered.

        Returns:
            The reply that is stored: another process may have been first.
        """
        model = request["model"]
        row = (key, model, json.dumps(request), json.dumps(record_values(reply)))
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?)", row)
            database.execute(_ADD_USE, (model, reply.input_tokens, reply.output_tokens))
            stored = database.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
            database.execute("COMMIT")
        return self._reply(stored[0])

    def _reply(self, text: str) -> Reply:
        return record_from_json(Reply, text, f"a reply in {self.path}")

    def token_counts(self, model: str) -> tuple[int, int]:
        """Input and output tokens of all replies of a model, by whichever process."""
        with self._open() as database:
            row = database.execute(
                "SELECT input_tokens, output_tokens FROM used WHERE model = ?", (model,)
            ).fetchone()
        return row or (0, 0)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # A connection per use costs little beside a request, and needs no care about threads,
        # forks and closing.
        try:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
            with closing(connection) as database:
                database.execute("PRAGMA synchronous = NORMAL")
                yield database
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> OutputUnwritableError:
        return OutputUnwritableError(
            f"the cache {self.path} cannot be used: {error}; give a writable directory on a local "
            "disk"
        )


def request_key(request: Mapping[str, Any]) -> str:
    """SHA-256 of a request, whatever the order of its parts."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
