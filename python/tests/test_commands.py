"""Commands of one's own: what they take and give, and what is wrong with some."""

import os
import signal
import threading
import time
from typing import Annotated, Literal, Optional

import pytest

import crashlens
from crashlens import Addr, Hex, Table
from crashlens.commands import load, load_file


@crashlens.command
def in_state(
    dump,
    state: Annotated[Literal["UN", "IN", "ID", "RU"], "as ps has it"] = "UN",
    *more: str,
    kernel: Annotated[bool, "threads of the kernel too"] = False,
    least: int = 0,
):
    """tasks in a state

    Threads of the kernel are left out.
    """
    rows = [
        {"pid": task.pid, "task": Addr(task.address), "comm": task.comm}
        for task in dump.tasks()
        if task.state == state and task.pid >= least and (kernel or not task.is_kernel)
    ]
    return Table(rows, notes=[f"more: {word}" for word in more])


def test_a_command_has_data_text_json_and_html(dump, truth):
    report = dump.run("in-state IN --kernel --least=2")
    assert report.command == "in-state"
    assert all(row.keys() == {"pid", "task", "comm"} and row["pid"] >= 2 for row in report["rows"])
    assert {"pid": 2, "task": hex(dump.task(2).address), "comm": "kthreadd"} in report["rows"]
    assert report.text.splitlines()[0].split() == ["PID", "TASK", "COMM"]
    assert f"{dump.task(2).address:x}" in report.text and "kthreadd" in report._repr_html_()
    assert dump.run("in-state IN a b")["notes"] == [{"kind": "info", "text": "more: a"}, {"kind": "info", "text": "more: b"}]
    # who waits for a child of vfork sleeps without being disturbed, as the guest said too
    states = {task["pid"]: task["state"] for task in truth["tasks"]}
    default = dump.run("in-state")
    assert [row["comm"] for row in default["rows"]] == ["job-vfork"]
    assert all(states[row["pid"]] == "D" for row in default["rows"])
    # rows that are dicts name the columns: without rows there are none
    nothing = dump.run("in-state --least=999999")
    assert nothing["rows"] == [] and nothing.text == ""


def test_it_has_help(dump):
    page = dump.run("help in-state").text
    for part in ["in-state - tasks in a state", "Threads of the kernel are left out.", "--kernel", "threads of the kernel too", "as ps has it"]:
        assert part in page, page
    assert dump.run("in-state --help").text == page
    assert "in-state" in dump.run("help").text


@pytest.mark.parametrize(
    "line, why",
    [
        ("in-state XX", "XX"),
        ("in-state IN --nosuch", "invalid option: --nosuch"),
        ("in-state IN --least=x", "x: least is a number"),
    ],
)
def test_wrong_arguments_are_told(dump, line, why):
    with pytest.raises(crashlens.CommandError) as failed:
        dump.run(line)
    assert str(failed.value).startswith("in-state: ") and why in str(failed.value)


@crashlens.command
def kinds(dump, task: crashlens.Task, at: Addr, how: Optional[float] = None):
    return {
        "comm": task.comm,
        "at": at,
        "mask": Hex(255),
        "half": how,
        "nothing": None,
        "yes": True,
        "bytes": b"\x01\x02",
        "several": [1, 2],
        "object": dump["init_task"].comm,
        "pointer": dump["modules"].next,
        "number": dump["init_task"].pid,
        "lost": dump.eval("*(int *)0x10"),
    }


def test_arguments_and_values_have_types(dump):
    report = dump.run("kinds 1 linux_banner 0.5")
    at = dump.symbol("linux_banner").address
    assert report["comm"] == "init" and report["at"] == hex(at) and report["mask"] == "0xff"
    assert report["half"] == 0.5 and report["nothing"] is None and report["yes"] is True
    assert report["bytes"] == "0102" and report["several"] == [1, 2] and report["number"] == 0
    assert report["pointer"] == hex(dump["modules"].next) and "swapper/0" in report["object"]
    # memory that is not there is a value that says so, and the answer is not whole
    assert "absent" in report["lost"] and report.is_incomplete
    assert dump.run(f"kinds {dump.task(1).address:x} {at:x}")["comm"] == "init"
    # 1f is an address, and no pid 31
    assert dump.task(31).pid == 31
    for line in ["kinds 999999 0", "kinds 1 nosuch", "kinds 1f 0"]:
        with pytest.raises(crashlens.CommandError, match="kinds: (999999|nosuch|1f)"):
            dump.run(line)


def told(dump, function, name):
    crashlens.command(function, name=name)
    with pytest.raises(crashlens.CommandError) as failed:
        dump.run(name)
    assert dump.run("sys")["release"], "the session lives"
    return str(failed.value)


def test_one_that_raises_says_where(dump):
    def divides(dump):
        return 1 // 0

    said = told(dump, divides, "divides")
    assert said.startswith("divides: raised ZeroDivisionError: integer division or modulo by zero\n")
    assert "test_commands.py:" in said and "in divides: return 1 // 0" in said and "commands.py:3" not in said

    def leaves(dump):
        raise SystemExit(3)

    assert told(dump, leaves, "leaves").startswith("leaves: raised SystemExit: 3")

    def reads(dump):
        return dump.read(0x10, 8)

    assert told(dump, reads, "reads").startswith("reads: FaultError: ")


@pytest.mark.parametrize(
    "found, why",
    [
        ({1, 2}, "it returned a set, which is no report"),
        (object(), "it returned an object, which is no report"),
        ({"x": {1}}, "a set is no value of a report"),
        ({1: 2}, "1 cannot be the name"),
        (Table([[1, 2]], ["one"]), "row 0 is a list, not a dict or 1 values"),
        (Table([[1]]), "rows that are no dicts need columns"),
        (Table([{"a": 1, "b": 2}], ["a"]), "row 0 has 'b', which is no column"),
        ({"x": 1 << 200}, "a number of more than 128 bits"),
    ],
)
def test_nonsense_is_told(dump, found, why):
    assert why in told(dump, lambda dump: found, "nonsense")


def test_one_that_loops_is_stopped_by_its_limit(dump):
    def loops(dump):
        while True:
            pass

    crashlens.command(loops, name="loops", seconds=0.3)
    began = time.monotonic()
    with pytest.raises(crashlens.CommandError, match="loops: stopped: it took more than 0.3 seconds"):
        dump.run("loops")
    assert time.monotonic() - began < 5
    assert dump.run("sys")["release"]


def test_one_that_loops_is_stopped_by_ctrl_c(dump):
    @crashlens.command
    def spins(dump):
        while True:
            dump.task(1)

    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dump.run("spins")
    assert time.monotonic() - began < 5
    assert dump.run("sys")["release"]


def test_text_lists_and_other_reports_are_reports(dump):
    crashlens.command(lambda dump: "one\ntwo", name="says")
    assert dump.run("says").text == "one\ntwo\n" and dump.run("says")["lines"] == [{"text": "one"}, {"text": "two"}]
    crashlens.command(lambda dump: None, name="silent")
    assert dump.run("silent").text == ""
    crashlens.command(lambda dump: print("aside") or [1, 2], name="prints")
    assert dump.run("prints").text == "aside\n1\n2\n"
    crashlens.command(lambda dump: dump.run("ps 1"), name="first")
    first = dump.run("first")
    assert first.command == "first" and first.data == dump.run("ps 1").data
    crashlens.command(lambda dump: "\x1b[31mred", name="red")
    assert "\x1b" not in dump.run("red").text


def test_names_and_arguments_that_cannot_be(dump):
    with pytest.raises(ValueError, match="ps is a command of crashlens"):
        crashlens.command(lambda dump: None, name="ps")
    with pytest.raises(ValueError, match="no name of a command"):
        crashlens.command(lambda dump: None, name="a b")
    with pytest.raises(TypeError, match="first parameter"):
        crashlens.command(lambda: None, name="nothing")
    with pytest.raises(TypeError, match="an option needs a default"):

        @crashlens.command
        def wants(dump, *, this: int):
            pass

    with pytest.raises(TypeError, match="arguments are str"):

        @crashlens.command
        def takes(dump, this: dict):
            pass


def test_files_are_read_and_what_is_wrong_with_one_is_told(dump, tmp_path, monkeypatch):
    folder = tmp_path / "crashlens" / "commands"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (folder / "a_good.py").write_text("import crashlens\n\n@crashlens.command\ndef good(dump):\n    return 'good'\n")
    (folder / "b_syntax.py").write_text("def x(:\n")
    (folder / "c_raises.py").write_text("import crashlens\n\nnosuch\n")
    (folder / "d_taken.py").write_text("import crashlens\n\n@crashlens.command\ndef ps(dump): pass\n")
    (folder / "e_exits.py").write_text("raise SystemExit\n")
    (folder / "f_good.py").write_text("import crashlens\n\n@crashlens.command\ndef better(dump):\n    return 'better'\n")
    problems = load()
    assert dump.run("good").text == "good\n" and dump.run("better").text == "better\n"
    assert len(problems) == 4
    assert f"{folder / 'b_syntax.py'}: line 1: " in problems[0]
    assert problems[1].endswith("c_raises.py: line 3: NameError: name 'nosuch' is not defined")
    assert "ps is a command of crashlens" in problems[2] and "SystemExit" in problems[3]
    # read anew, the newer one holds
    (folder / "a_good.py").write_text("import crashlens\n\n@crashlens.command\ndef good(dump):\n    return 'new'\n")
    load_file(folder / "a_good.py")
    assert dump.run("good").text == "new\n"
