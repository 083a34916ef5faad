"""Opening, symbols, memory, commands as data."""

import gc
import json
import pickle
import weakref

import pytest

import crashlens


def test_what_killed_the_machine(dump):
    verdict = dump.verdict()
    assert verdict["class"] == "bug" and verdict["determined"] is True
    assert verdict["victim"]["comm"] == "scatter"
    assert "virtqueue_add_split" in verdict["headline"]
    assert verdict["headline"] in verdict.text
    assert dump.panic_task().comm == "scatter"


def test_a_command_is_data_text_json_and_html(dump, truth):
    report = dump.run("ps 1")
    assert report.command == "ps"
    [task] = report["tasks"]
    assert task["pid"] == 1 and task["command"] == "init"
    whole = json.loads(report.json)
    assert whole["schema"] == "crashlens/1" and whole["data"] == report.data and whole["args"] == ["1"]
    assert "init" in report.text and str(report) == report.text == repr(report)
    assert report.html.startswith("<!doctype html>")
    piece = report._repr_html_()
    assert piece.startswith('<div class="crashlens">') and "init" in piece
    assert "tasks" in report and list(report) == list(report.keys()) and len(report) == len(report.data)
    assert not report.failed and not report.is_incomplete
    assert dump.run("sys")["release"] == truth["kernel"]["release"] == dump.release


def test_a_command_without_an_answer_raises(dump):
    with pytest.raises(crashlens.CommandError, match="command not found: nosuch"):
        dump.run("nosuch")
    with pytest.raises(crashlens.CommandError, match="Usage"):
        dump.run("ps --nosuch") 
    with pytest.raises(crashlens.CommandError) as failed:
        dump.run("struct nosuch_struct")
    assert failed.value.is_loss is False


def test_symbols(dump):
    banner = dump.symbol("linux_banner")
    assert (banner.name, banner.offset, banner.module) == ("linux_banner", 0, None)
    within = dump.symbol(banner.address + 2)
    assert (within.name, within.offset, within.address) == ("linux_banner", 2, banner.address)
    assert dump.symbol(hex(banner.address)).name == "linux_banner"
    assert dump.symbol("virtqueue_add_split").module == "virtio_ring"
    with pytest.raises(LookupError, match="no symbol nosuch"):
        dump.symbol("nosuch")
    with pytest.raises(LookupError):
        dump.symbol(0x10)


def test_memory_is_bytes(dump, truth):
    at = dump.symbol("linux_banner")
    assert dump.read(at, 13) == b"Linux version"
    size = len(truth["kernel"]["banner"])
    view = memoryview(dump.read(at, size))
    assert bytes(view).decode() == truth["kernel"]["banner"]
    assert dump.read(at, 0) == b""
    with pytest.raises(crashlens.FaultError) as fault:
        dump.read(0x1000, 8)
    assert fault.value.address == 0x1000
    with pytest.raises(crashlens.FaultError) as fault:
        dump.read(1 << 50, 8, physical=True)
    assert fault.value.address == 1 << 50
    # what the dump has not costs nothing, however much is asked for
    with pytest.raises(crashlens.FaultError):
        dump.read(at, 1 << 31)
    with pytest.raises(ValueError):
        dump.read(at, 1 << 40)
    with pytest.raises(ValueError):
        dump.read("ffff", 8)
    with pytest.raises(TypeError):
        dump.read(1.5, 8)


def test_physical_memory_is_that_of_the_page_tables(dump):
    at = dump.symbol("linux_banner").address
    physical = int(dump.run(f"vtop {at:x}")["translations"][0]["physical"], 16)
    assert dump.read(physical, 13, physical=True) == b"Linux version"


def test_tasks_are_the_guests(dump, truth):
    own = {task.pid: task for task in dump.tasks() if task.pid}
    assert dump.lacks_tasks() is None
    known = {task["pid"]: task for task in truth["tasks"]}
    both = own.keys() & known.keys()
    assert len(both) > 50
    for pid in both:
        assert own[pid].comm == known[pid]["comm"], pid
        assert own[pid].tgid == known[pid]["tgid"], pid
    one = dump.task(1)
    assert (one.comm, one.is_kernel, dump.task(2).is_kernel) == ("init", False, True)
    assert one == dump.task(one.object) == dump.task(hex(one.address)) and one in {dump.task(1)}
    assert one.object.pid == 1 and int(one) == one.address == one.object.address_
    assert sum(task.pid == 0 for task in dump.tasks()) == len(dump.cpus()) == 2
    with pytest.raises(LookupError, match="no task has the pid 999999"):
        dump.task(999999)


def test_stacks_are_the_guests(dump, truth):
    told = {stack["tid"]: [frame["symbol"] for frame in stack["frames"]] for stack in truth["stacks"]}
    compared = 0
    for task in dump.tasks():
        if task.state not in ("ID", "IN") or not task.is_kernel or task.pid not in told:
            continue
        stack = task.stack()
        names = [frame.name for frame in stack if not frame.is_guess]
        assert [name for name in names if name in told[task.pid]] == told[task.pid], (task, names)
        assert stack.is_whole, task
        compared += 1
    assert compared > 20


def test_the_stack_of_the_victim(dump):
    stack = dump.stack(dump.panic_task())
    names = [frame.name for frame in stack]
    assert "virtqueue_add_split" in names
    frame = stack[names.index("virtqueue_add_split")]
    assert (frame.module, frame.offset) == ("virtio_ring", 0x3D4)
    assert frame.pc == dump.symbol("virtqueue_add_split").address + 0x3D4
    assert len(stack) == len(names) == len(list(stack)) and stack[-1].name == names[-1]
    assert "virtqueue_add_split" in str(stack) and "virtqueue_add_split" in stack._repr_html_()
    with pytest.raises(IndexError):
        stack[len(stack)]
    # without a vmlinux no variable is known, and that is said
    assert frame.locals() == {}
    with pytest.raises(KeyError, match="no variable"):
        frame["total_sg"]


def test_objects_keep_their_dump(sample):
    dump = crashlens.open(sample, search=False)
    gone = weakref.ref(dump)
    comm, task = dump["init_task"].comm, dump.task(1)
    stack = task.stack()
    del dump
    gc.collect()
    assert gone() is None
    assert comm.string_() == b"swapper/0"
    assert task.stack()[0].pc == stack[0].pc


def test_two_dumps_of_one_build_read_it_once(sample):
    first = crashlens.open(sample, search=False)
    assert first["init_task"].pid == 0
    read = crashlens.builds_read()
    second = crashlens.open(sample, search=False)
    assert second["init_task"].comm.string_() == b"swapper/0"
    assert crashlens.builds_read() == read >= 1


def test_what_is_no_dump_is_refused(tmp_path):
    with pytest.raises(crashlens.Error):
        crashlens.open(tmp_path / "nosuch")
    text = tmp_path / "text"
    text.write_text("this is no dump\n" * 100)
    with pytest.raises(crashlens.Error):
        crashlens.open(text)
    with pytest.raises(TypeError):
        crashlens.open()


def test_a_cut_dump_says_what_it_lacks(sample, tmp_path):
    cut = tmp_path / "cut"
    cut.write_bytes(sample.read_bytes()[: 6 << 20])
    dump = crashlens.open(cut, search=False)
    assert "kallsyms is not in the dump" in dump.lacks_tasks()
    # a symbol that is lost is not one that the kernel has not
    for ask in [lambda: dump.symbol("linux_banner"), lambda: dump.symbol(0xFFFFFFFF81000000)]:
        with pytest.raises(crashlens.Error, match="is not known: kallsyms is not in the dump"):
            ask()


def test_a_dump_is_of_this_process(dump):
    with pytest.raises(TypeError):
        pickle.dumps(dump)
