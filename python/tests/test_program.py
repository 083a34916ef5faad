"""The wheel's program: crashlens itself, with commands of one's own."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

OWN = '''
import crashlens

@crashlens.command
def pids(dump, *, least: int = 0):
    """the tasks' numbers"""
    return crashlens.Table([{"pid": task.pid} for task in dump.tasks() if task.pid >= least])

@crashlens.command(needs_dump=False)
def hello(dump, name: str = "you"):
    """says hello"""
    return f"hello {name}"

@crashlens.command
def raises(dump):
    raise RuntimeError("no luck")

@crashlens.command
def spins(dump):
    while True:
        pass
'''


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "crashlens" / "commands"
    folder.mkdir(parents=True)
    (folder / "own.py").write_text(OWN)
    return {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}


def crashlens(home, *words, stdin="", **more):
    line = [sys.executable, "-m", "crashlens", *map(str, words)]
    return subprocess.run(line, env=home, input=stdin, capture_output=True, text=True, timeout=120, **more)


def test_it_is_the_program(home, sample):
    done = crashlens(home, "--no-search", "-s", "ps", sample, "1")
    assert done.returncode == 0 and "init" in done.stdout and done.stderr == ""
    assert crashlens(home, "--version").stdout.startswith("crashlens ")
    assert crashlens(home, "nosuch", sample).returncode == 2


def test_own_commands_are_in_it(home, sample):
    done = crashlens(home, "--no-search", "-s", "--json", "pids", sample, "--least=2")
    answer = json.loads(done.stdout)
    assert (answer["schema"], answer["command"]) == ("crashlens/1", "pids") and {"pid": 2} in answer["data"]["rows"]
    assert answer["dump"] == str(sample) and answer["args"] == ["--least=2"]
    page = crashlens(home, "--no-search", "-s", "--html", "-c", "pids", sample).stdout
    assert page.startswith("<!doctype html>") and "PID" in page
    assert crashlens(home, "help", "pids").stdout.count("the tasks' numbers") == 1
    assert "pids" in crashlens(home, "help").stdout
    assert crashlens(home, "hello", "world").stdout == "hello world\n"
    # with a pipe, in a macro, as the shell has them
    lines = "define both\npids --least=$arg0 | head -2 | tail -1\nhello $arg0\nend\nboth 2\n"
    done = crashlens(home, "--no-search", "-s", sample, stdin=lines)
    assert done.stdout == "  2\nhello 2\n", done


def test_the_session_lives(home, sample):
    done = crashlens(home, "--no-search", "-s", "-c", "raises", "-c", "hello", sample)
    assert done.returncode == 1 and done.stdout == "hello you\n"
    assert done.stderr.startswith("raises: raised RuntimeError: no luck\n") and "own.py:16 in raises: raise RuntimeError" in done.stderr
    (path := os.path.join(home["XDG_CONFIG_HOME"], "crashlens", "commands", "bad.py"))
    with open(path, "w", encoding="utf-8") as file:
        file.write("def x(:\n")
    done = crashlens(home, "hello")
    assert done.stdout == "hello you\n" and f"crashlens: {path}: line 1: " in done.stderr
    # without commands of one's own the word is taken for a dump
    gone = crashlens({**home, "CRASHLENS_NO_COMMANDS": "1"}, "hello")
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, "", "crashlens: hello: no such file\n")


class Terminal:
    """The program on a terminal."""

    def __init__(self, home, *words):
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.environ.clear()
            os.environ.update({**home, "TERM": "xterm", "PAGER": "cat"})
            os.execv(sys.executable, [sys.executable, "-m", "crashlens", *map(str, words)])
        self.seen = ""

    def until(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.seen[-2000:]!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def end(self):
        self.type("exit\r")
        _, status = os.waitpid(self.child, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_at_a_terminal(home, sample):
    terminal = Terminal(home, "--no-search", "-s", sample)
    terminal.until("crashlens> ")
    # Tab knows a command of one's own, and its options
    terminal.type("pid\t --le\t=2\r")
    assert "pids --least" in terminal.until("PID")
    terminal.until("crashlens> ")
    # Ctrl-C ends one that loops, and the session lives
    terminal.type("spins\r")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.until("interrupted", 10)
    terminal.until("crashlens> ")
    # a macro is read line by line, with a prompt of its own
    terminal.type("define greet\r")
    terminal.until(">")
    terminal.type("hello $arg0\rend\rgreet there\r")
    terminal.until("hello there")
    terminal.until("crashlens> ")
    assert terminal.end() == 0
