import threading
import time

from unigeoseg.runtime.stage_clock import StageClock


def test_a_stage_inside_another_stops_its_time():
    clock = StageClock(["read", "never"])
    began = time.perf_counter()
    with clock("read"):
        time.sleep(0.02)
        with clock("decode"):
            time.sleep(0.05)
        time.sleep(0.02)
    whole = time.perf_counter() - began
    assert [*clock.seconds] == ["read", "never", "decode"] and clock.seconds["never"] == 0
    assert clock.seconds["read"] >= 0.04 and clock.seconds["decode"] >= 0.05
    assert sum(clock.seconds.values()) <= whole


def test_an_error_ends_a_stage():
    clock = StageClock()
    try:
        with clock("read"):
            raise KeyError
    except KeyError:
        pass
    before = dict(clock.seconds)
    time.sleep(0.01)
    with clock("write"):
        pass
    assert clock.seconds["read"] == before["read"]


def test_threads_have_their_own_stage_and_one_sum():
    clock, together = StageClock(), threading.Barrier(4, timeout=20)

    def work() -> None:
        for _ in range(50):
            with clock("read"):
                pass
        together.wait()
        with clock("read"):
            time.sleep(0.02)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.seconds["read"] >= 4 * 0.02
