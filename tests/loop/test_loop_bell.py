"""The bell: what was rung is heard once, whoever rang and whenever."""

from __future__ import annotations

import os
import signal
import threading

from reconciler.adapters.loop.bell import QueueBell
from reconciler.model.rounds import Why

FOR_EVER = 60.0


def test_what_was_rung_before_is_heard_at_once_and_once() -> None:
    bell = QueueBell()
    for _ in range(1000):
        bell.ring(Why.WEBHOOK)
    bell.ring(Why.HANGUP)
    assert bell._queue.qsize() == 2
    assert bell.wait(FOR_EVER) == {Why.WEBHOOK, Why.HANGUP}
    assert bell.wait(0) == frozenset()
    bell.ring(Why.WEBHOOK)
    assert bell.wait(FOR_EVER) == {Why.WEBHOOK}


def test_it_can_wake_without_a_reason() -> None:
    bell = QueueBell()
    bell.ring(None)
    assert bell.wait(FOR_EVER) == frozenset()


def test_nobody_rings() -> None:
    assert QueueBell().wait(0.01) == frozenset()
    assert QueueBell().wait(-1) == frozenset()


def test_another_thread_wakes_who_waits() -> None:
    bell = QueueBell()
    thread = threading.Timer(0.01, bell.ring, (Why.WEBHOOK,))
    thread.start()
    assert bell.wait(FOR_EVER) == {Why.WEBHOOK}
    thread.join()


def test_a_signal_handler_wakes_the_very_thread_that_waits() -> None:
    bell = QueueBell()
    before = signal.signal(signal.SIGHUP, lambda *_: bell.ring(Why.HANGUP))
    try:
        thread = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGHUP))
        thread.start()
        assert bell.wait(FOR_EVER) == {Why.HANGUP}
        thread.join()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_ring_is_lost_between_two_threads() -> None:
    """Whatever was rung after the last hearing is heard by the next."""
    bell, rung, heard = QueueBell(), 0, 0

    def ring() -> None:
        nonlocal rung
        for _ in range(2000):
            rung += 1
            bell.ring(Why.WEBHOOK)

    thread = threading.Thread(target=ring)
    thread.start()
    while heard < 2000:
        assert bell.wait(FOR_EVER) == {Why.WEBHOOK}
        heard = rung
    thread.join()
