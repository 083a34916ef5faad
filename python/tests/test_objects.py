"""C from Python: members, elements, numbers, pointers, casts, types."""

import pytest

import crashlens


def test_members_and_strings(dump):
    init = dump["init_task"]
    assert init.comm.string_() == b"swapper/0"
    assert init.pid == 0 and not init.pid and int(init.pid) == 0
    assert init.comm.value_()[:9] == list(b"swapper/0")
    assert init.member_("comm").address_ == init.comm.address_ == init.address_ + dump.type("struct task_struct").offsetof("comm")
    # a pointer is followed
    assert init.nsproxy.uts_ns.name.release.string_().decode() == dump.release
    assert init.comm.address_of_().cast_("char *").string_() == b"swapper/0"
    with pytest.raises(AttributeError, match="no member named \"nosuch\""):
        init.nosuch
    assert not hasattr(init, "nosuch") and hasattr(init, "comm")
    with pytest.raises(AttributeError):
        init.pid.nosuch
    assert {"comm", "pid", "address_"} <= set(dir(init)) and "comm" in dir(init.address_of_())


def test_names_and_expressions(dump):
    assert "init_task" in dump and "nosuch" not in dump
    with pytest.raises(KeyError, match="nosuch"):
        dump["nosuch"]
    with pytest.raises(ValueError, match="eval"):
        dump["init_task.pid + 1"]
    assert dump.eval("init_task.pid + 1") == 1
    assert dump.eval("sizeof(struct list_head)") == 16
    with pytest.raises(crashlens.ExpressionError):
        dump.eval("1 +")
    assert dump["TASK_COMM_LEN"] == 16


def test_numbers_calculate(dump):
    one = dump.task(1).object.pid
    assert one + 1 == 2 and 1 + one == 2 and one - 3 == -2 and 3 - one == 2
    assert one * 5 == 5 and 7 // (one + 1) == 3 and 7 % (one + 2) == 1 and one / 2 == 0.5
    assert one | 6 == 7 and 3 & one == 1 and one ^ 1 == 0 and one << 4 == 16 and 16 >> one == 8
    assert -one == -1 and ~one == -2 and float(one) == 1.0 and [0, 7][one] == 7
    assert one < 2 and one >= one and one != 2 and {one: "x"}[1] == "x"
    with pytest.raises(TypeError):
        one + "x"


def test_pointers_are_c_s(dump):
    init = dump["init_task"]
    pointer = init.address_of_()
    assert pointer == init.address_ and pointer.type_.kind == "pointer" and bool(pointer)
    assert pointer.deref_() == init and pointer[0].pid == 0 and pointer.pid == 0
    size = dump.type("struct task_struct").size
    assert int(pointer + 1) == init.address_ + size and int(pointer - 1) == init.address_ - size
    assert (pointer + 3) - pointer == 3 and pointer - (pointer + 3) == -3
    assert init.comm[4].address_of_() - init.comm == 4
    untyped = pointer.cast_("void *")
    assert untyped + 5 - untyped == 5
    # elements of another size, or of none that is known, are not counted
    with pytest.raises(crashlens.ExpressionError, match="pointers to struct task_struct and char"):
        pointer - pointer.cast_("char *")
    declared = dump.object("struct net_device", init.address_).dm_private
    with pytest.raises(crashlens.ExpressionError, match="dm_hw_stat_delta"):
        declared - declared
    assert (pointer + 1).type_.name == pointer.type_.name
    assert pointer.comm.string_() == b"swapper/0"
    null = dump.eval("(struct task_struct *)0")
    assert not null
    with pytest.raises(crashlens.FaultError) as fault:
        int(null.pid)
    assert fault.value.address == dump.type("struct task_struct").offsetof("pid")


def test_casts_and_containers(dump):
    init = dump["init_task"]
    node = init.tasks.address_of_()
    around = crashlens.container_of(node, "struct task_struct", "tasks")
    assert around == init.address_ and around.comm.string_() == b"swapper/0"
    assert crashlens.cast("unsigned long", node) == init.tasks.address_
    assert crashlens.cast("char", init.comm[0]) == ord("s")
    with pytest.raises(crashlens.ExpressionError):
        crashlens.cast("struct nosuch", node)
    with pytest.raises(crashlens.ExpressionError, match="nosuch"):
        crashlens.container_of(node, "struct task_struct", "nosuch")
    thing = dump.object("struct task_struct", init.address_)
    assert thing == init and thing.comm.string_() == b"swapper/0"
    assert dump.object("struct task_struct", hex(init.address_)) == init
    assert dump.type("struct task_struct").at(node.value_() - init.tasks.address_ + init.address_) == init


def test_arrays(dump):
    comm = dump["init_task"].comm
    assert len(comm) == 16 and comm[0] == ord("s") and comm[-1] == 0
    assert [int(c) for c in comm][:7] == list(b"swapper")
    assert [int(c) for c in comm[2:7]] == list(b"apper") and [int(c) for c in comm[4::-2]] == list(b"pas")
    with pytest.raises(IndexError):
        comm[16]
    with pytest.raises(TypeError):
        len(dump["init_task"].pid)
    assert comm.bytes_() == bytes(comm) == b"swapper/0" + bytes(7)


def test_types(dump):
    task = dump.type("struct task_struct")
    assert (task.kind, task.name) == ("struct", "struct task_struct") and task.size > 4096
    member = next(member for member in task.members if member.name == "comm")
    assert (member.type_.kind, member.type_.length, member.type_.type_.size) == ("array", 16, 1)
    assert member.offset * 8 == member.bit_offset and member.offset == task.offsetof("comm")
    assert task.has_member("comm") and not task.has_member("nosuch")
    assert any(member.bit_field_size for member in task.members)
    assert dump.type("pid_t").kind == "int" and dump.type("pid_t").is_signed
    assert dump.type("enum pid_type").enumerators["PIDTYPE_TGID"] == 1
    assert task == dump.type("struct task_struct") and len({task, dump.type("struct task_struct")}) == 1
    assert "comm" in str(task) and "comm" in task._repr_html_()
    assert dump["init_task"].type_ == task
    with pytest.raises(KeyError):
        dump.type("struct nosuch")
    with pytest.raises(crashlens.Error):
        dump.type("void").size


def test_values_in_python(dump):
    head = dump["modules"]
    assert head.value_() == {"next": int(head.next), "prev": int(head.prev)}
    assert isinstance(dump["init_task"].pid.value_(), int)
    # an array without a length is not told to be empty
    filename = dump.object("struct filename", head.address_)
    assert filename.type_.members[-1].type_.length is None and filename.value_()["iname"] is None
    assert "next = 0x" in repr(head) and "next" in head._repr_html_()
    assert repr(dump.task(1).object.pid) == "(pid_t)1"


def test_enumerators(dump):
    states = dump.type("enum module_state").enumerators
    module = crashlens.container_of(dump["modules"].next, "struct module", "list")
    assert module.state == states["MODULE_STATE_LIVE"] and module.state.enumerator_ == "MODULE_STATE_LIVE"
    assert dump["init_task"].pid.enumerator_ is None
    assert not dump.type("enum module_state").is_signed
    assert dump.type("enum lru_status").is_signed == (min(dump.type("enum lru_status").enumerators.values()) < 0)


def test_markup_of_the_dump_is_text(dump):
    # nothing of a dump can be markup in a notebook
    text = dump.eval('"<script>alert(1)</script>"')
    assert "<script>" not in text._repr_html_() and "&lt;script&gt;" in text._repr_html_()


numpy = pytest.importorskip("numpy", reason="numpy is not there")


def test_memory_and_objects_are_arrays(dump):
    comm = dump["init_task"].comm
    array = numpy.asarray(comm)
    assert array.dtype.itemsize == 1 and array.shape == (16,) and bytes(array.tobytes()) == comm.bytes_()
    words = numpy.frombuffer(dump.read(dump["modules"].address_, 16), dtype="<u8")
    assert list(words) == [int(dump["modules"].next), int(dump["modules"].prev)]
    task = numpy.asarray(dump["init_task"])
    assert task["pid"] == 0 and task["tasks"]["next"] == int(dump["init_task"].tasks.next)
    assert numpy.asarray(dump.task(1).object.pid) == 1
    with pytest.raises(TypeError):
        numpy.asarray(dump.symbol and dump["schedule"])
