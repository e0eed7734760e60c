"""Ray: where no cluster is, and where a worker dies."""

import os
import socket
from collections.abc import Iterator

import pytest

from unigeoseg.errors import OptionError
from unigeoseg.runtime.ray_cluster import check_cluster, worker_died
from unigeoseg.runtime.workers import check_workers, run_units

pytest.importorskip("ray", reason="needs the extra 'data'")


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine that nobody listens on, and nobody else may take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nothing_listens_is_one_line(form, port, monkeypatch):
    address = form.format(port)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(OptionError, match=f"no Ray cluster at {address}: .*; start it, correct"):
        check_workers("ray", 2)


@pytest.mark.parametrize("address", ["somewhere", ":6379", "host:", "host:port", "host:99999"])
def test_an_address_that_is_none_is_one_line(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(OptionError, match="expected HOST:PORT"):
        check_cluster()


@pytest.mark.parametrize("address", ["", "local", "auto", "other://host"])
def test_what_only_ray_can_tell_is_left_to_it(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    check_cluster()


def test_where_something_listens_the_address_is_good(monkeypatch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        check_cluster()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_worker_that_dies_is_the_same_error_with_every_engine(engine, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(OptionError) as raised:
        list(run_units(os._exit, [1, 1], engine=engine, workers=2))
    assert str(raised.value) == str(worker_died(2))
