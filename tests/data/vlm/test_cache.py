"""The cache under threads and real processes."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from places import SOURCE

from unigeoseg.data.vlm.cache import Reply, ReplyCache, request_key
from unigeoseg.errors import OutputUnwritableError

WRITE = """
import sys
from pathlib import Path
from unigeoseg.data.vlm.cache import Reply, ReplyCache, request_key
name = sys.argv[2]
for number in range(40):
    cache = ReplyCache(Path(sys.argv[1]))
    request = {"model": "m", "number": number}
    kept = cache.put(request_key(request), request, Reply(name, None, 3, 2))
    again = cache.get(request_key(request))
    assert kept == again, (kept, again)
"""


def test_processes_agree_on_one_reply_and_every_token_is_counted(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(n)], env=environment, stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert ReplyCache(tmp_path).token_counts("m") == (3 * 40 * 3, 3 * 40 * 2)
    with sqlite3.connect(tmp_path / "replies.sqlite") as database:
        assert database.execute("SELECT count(*) FROM replies").fetchone() == (40,)
    database.close()


def test_threads_share_a_cache(tmp_path):
    cache = ReplyCache(tmp_path)

    def put(number: int) -> Reply:
        return cache.put(f"key {number % 5}", {"model": "m"}, Reply(str(number), None, 1, 1))

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(put, range(50)))
    assert len({reply.text for reply in kept}) == 5
    assert cache.token_counts("m") == (50, 50)
    assert cache.token_counts("n") == (0, 0)


def test_the_key_is_the_content_whatever_its_order():
    assert request_key({"a": 1, "b": [2]}) == request_key({"b": [2], "a": 1})
    assert request_key({"a": 1}) != request_key({"a": "1"})
    assert len(request_key({})) == 64


def test_a_directory_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(OutputUnwritableError, match="give a writable directory"):
        ReplyCache(tmp_path / "cache")
