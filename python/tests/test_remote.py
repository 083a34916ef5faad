"""Dumps on servers, read by range: few requests, few bytes, and the same answers."""

import mmap
import os
import pathlib
import threading
import time

import pytest
from server import serving

import crashlens


@pytest.fixture
def server(sample):
    with serving({"/dumps/vmcore": sample.read_bytes()}) as state:
        yield state


def remote(server):
    return crashlens.open(f"{server.url}/dumps/vmcore", search=False)


def test_a_dump_on_a_server_answers_as_one_that_is_here(server, dump):
    there = remote(server)
    for line in ("verdict", "bt", "log", "ps", "kmem -i"):
        assert there.run(line).text == dump.run(line).text, line
    assert there.files == [f"{server.url}/dumps/vmcore"]
    assert there.transferred == (server.requests, server.bytes)
    assert dump.transferred is None
    asked = server.requests
    there.verdict()
    assert server.requests == asked, "what came is kept"


def test_a_verdict_takes_few_requests_and_bytes(server):
    server.delay = 0.05
    began = time.monotonic()
    remote(server).verdict()
    assert time.monotonic() - began < 3
    assert server.requests <= 60 and server.bytes <= 16 << 20, (server.requests, server.bytes)


def test_an_object_of_s3(server, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "who",
        "AWS_SECRET_ACCESS_KEY": "canary-of-a-secret",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    there = crashlens.open("s3://dumps/vmcore", search=False)
    assert there.verdict()["class"] == "bug"
    assert all(h["authorization"].startswith("AWS4-HMAC-SHA256 Credential=who/") for h in server.headers)
    assert "canary-of-a-secret" not in str(server.headers)


@pytest.mark.parametrize(
    "fault, why",
    [
        ("whole", "not supported"),
        ("short", "vmcore"),
        ("other", "vmcore"),
        ("broken", "500"),
    ],
)
def test_a_server_that_is_wrong_is_an_error(server, fault, why):
    server.fault = fault
    with pytest.raises(crashlens.Error, match=why) as e:
        remote(server)
    assert server.url in str(e.value)


def test_a_file_that_changes_meanwhile_is_no_answer(server):
    there = remote(server)
    server.fault = "changed"
    try:
        assert there.verdict().is_incomplete
    except crashlens.Error:
        pass
    # what cannot be had now is asked for again
    server.fault = None
    assert there.verdict()["class"] == "bug"


def test_what_is_not_there(server):
    with pytest.raises(crashlens.Error, match="404"):
        crashlens.open(f"{server.url}/nosuch")
    with pytest.raises(crashlens.Error, match="presigned"):
        crashlens.open(f"{server.url}/dumps/vmcore?X-Amz-Signature=1")
    with pytest.raises(crashlens.Error):
        crashlens.open("http://127.0.0.1:1/vmcore")


def test_a_password_is_not_told(server):
    named = server.url.replace("//", "//me:hidden@") + "/nosuch"
    with pytest.raises(crashlens.Error) as e:
        crashlens.open(named)
    assert "hidden" not in str(e.value)
    there = crashlens.open(server.url.replace("//", "//me:hidden@") + "/dumps/vmcore", search=False)
    assert "hidden" not in repr(there) + str(there.files)
    assert server.headers[-1]["authorization"].startswith("Basic ")


def test_ctrl_c_ends_the_wait_for_a_server(server):
    there = remote(server)
    server.fault = "silent"
    threading.Timer(0.3, lambda: os.kill(os.getpid(), 2)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        there.run("ps")
    assert time.monotonic() - began < 3
    server.fault = None
    assert "init" in there.run("ps").text


@pytest.mark.skipif("CRASHLENS_LARGE" not in os.environ, reason="names no large dump (its path, and most MB and requests)")
def test_a_large_dump_is_read_in_part():
    path, most, requests = os.environ["CRASHLENS_LARGE"].split(":")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        with serving({"/vmcore": data}) as server:
            server.delay = 0.05
            began = time.monotonic()
            verdict = crashlens.open(f"{server.url}/vmcore", search=False).verdict()
            took = time.monotonic() - began
            print(f"\n{path}: {server.requests} requests, {server.bytes / 1e6:.1f} MB, {took:.2f} s")
            assert verdict.text.splitlines()[0] == crashlens.open(pathlib.Path(path), search=False).verdict().text.splitlines()[0]
            assert server.bytes <= float(most) * 1e6 and server.requests <= int(requests)
            assert took < 3
