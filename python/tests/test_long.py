"""Long calls: the interpreter's lock is free, Ctrl-C and `interrupt` end them, and the next question is answered."""

import os
import signal
import threading
import time

import pytest

import crashlens

#: A question that takes minutes.
LONG = "repeat --count 1000000000 btop 1000"


def interrupted_after(seconds, ask):
    """How long it took until Ctrl-C ended a call."""
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ask()
    timer.join()
    return time.monotonic() - began


def test_ctrl_c_ends_a_long_call(dump):
    assert interrupted_after(0.3, lambda: dump.run(LONG)) < 3
    assert dump.task(1).comm == "init", "what is asked after that is answered"
    assert interrupted_after(0.3, lambda: dump.run(LONG)) < 3


def test_the_lock_is_free_meanwhile(dump):
    counted = 0
    done = threading.Event()

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1

    counter = threading.Thread(target=count)
    counter.start()
    interrupted_after(0.5, lambda: dump.run(LONG))
    done.set()
    counter.join()
    assert counted > 10_000


def test_a_thread_is_stopped_by_interrupt(dump):
    ended = []

    def ask():
        try:
            dump.run(LONG)
        except crashlens.Interrupted as stopped:
            ended.append(stopped)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    dump.interrupt()
    asking.join(5)
    assert not asking.is_alive() and len(ended) == 1
    assert dump.run("sys")["release"]


def test_threads_answer_side_by_side(dump):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(len(dump.tasks()))) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(answers) == 4 and len(set(answers)) == 1


def test_a_child_process_can_ask(sample):
    # the helper thread is not in a child; what a child asks has its own
    crashlens.open(sample, search=False).task(1)
    child = os.fork()
    if child == 0:
        try:
            ok = crashlens.open(sample, search=False).format != ""
        finally:
            os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
