"""The table of docs/PYTHON.md: what users of drgn type, and its counterpart here."""

import pytest

import crashlens
from crashlens import helpers
from crashlens.helpers import (
    cpu_curr,
    find_task,
    for_each_module,
    for_each_online_cpu,
    for_each_possible_cpu,
    for_each_task,
    get_dmesg,
    hlist_for_each_entry,
    idr_for_each,
    list_empty,
    list_for_each_entry,
    mt_for_each,
    per_cpu,
    rbtree_inorder_for_each_entry,
    task_state_to_char,
    xa_for_each,
)


def test_tasks(dump, truth):
    pids = {task.pid for task in for_each_task(dump)}
    assert {task["pid"] for task in truth["tasks"] if task["state"] in "I"} <= pids
    assert find_task(dump, 1).comm == "init" and find_task(dump, 999999) is None


def test_states(dump, truth):
    idle = {task["pid"] for task in truth["tasks"] if task["state"] == "I" and not task["comm"].startswith("kworker")}
    assert len(idle) > 10
    for pid in idle:
        assert task_state_to_char(find_task(dump, pid)) == "I", pid


def test_lists(dump):
    # the list of all processes, beside what the library itself found
    walked = [task.pid.value_() for task in list_for_each_entry("struct task_struct", dump["init_task"].tasks, "tasks")]
    leaders = [task.pid for task in dump.tasks() if task.pid and task.pid == task.tgid]
    assert sorted(walked) == sorted(leaders) and len(walked) > 50
    assert not list_empty(dump["modules"]) and not list_empty(dump["modules"].address_of_())


def test_modules(dump, truth):
    names = [module.name.string_().decode() for module in for_each_module(dump)]
    assert names == [module["name"] for module in truth["modules"]]


def test_a_list_that_leads_nowhere_says_so(dump):
    # the entries' own links are taken for a list's head, so that the head is an entry of another type
    broken = dump.object("struct list_head", dump["init_task"].comm.address_)
    with pytest.raises(crashlens.Error):
        list(list_for_each_entry("struct task_struct", broken, "tasks"))


def test_hlists(dump):
    blocks = list(list_for_each_entry("struct super_block", dump["super_blocks"], "s_list"))
    assert len(blocks) > 3
    for block in blocks:
        same = list(hlist_for_each_entry("struct super_block", block.s_type.fs_supers, "s_instances"))
        assert block in same, block.s_id.string_()


def test_red_black_trees(dump):
    root = dump.object("struct rb_root", dump.symbol("vmap_area_root"))
    areas = list(rbtree_inorder_for_each_entry("struct vmap_area", root, "rb_node"))
    starts = [int(area.va_start) for area in areas]
    assert len(starts) > 50 and starts == sorted(starts)
    assert all(area.va_end > area.va_start for area in areas)


def test_xarrays(dump, truth):
    # radix_tree_root is a macro that stands for xarray since 4.20
    tree = dump.object("struct xarray", dump.symbol("irq_desc_tree"))
    found = {index: desc for index, desc in xa_for_each(tree, "struct irq_desc")}
    assert len(found) > 5 and all(desc.irq_data.irq == index for index, desc in found.items())


def test_idrs(dump):
    pids = {number: pid for number, pid in idr_for_each(dump["init_pid_ns"].idr, "struct pid")}
    assert {task.pid for task in dump.tasks() if task.pid} <= pids.keys()
    assert all(pid.numbers[0].nr == number for number, pid in pids.items())


def test_maple_trees(dump, truth):
    mm = find_task(dump, 1).object.mm
    areas = [(int(area.vm_start), int(area.vm_end)) for _, area in mt_for_each(mm.mm_mt, "struct vm_area_struct")]
    told = [(int(m["start"], 16), int(m["end"], 16)) for m in truth["maps"] if m["pid"] == 1]
    assert set(areas) & set(told) and areas == sorted(areas)
    assert len(areas) == mm.map_count


def test_cpus(dump):
    assert list(for_each_online_cpu(dump)) == [0, 1] == list(for_each_possible_cpu(dump))
    for cpu in for_each_online_cpu(dump):
        queue = per_cpu(dump["runqueues"], cpu)
        assert queue.cpu == cpu
        assert cpu_curr(dump, cpu).cpus_mask.address_ > 0
    victim = dump.panic_task()
    assert cpu_curr(dump, victim.cpu) == victim.address
    with pytest.raises(crashlens.Error):
        per_cpu(dump["runqueues"], 99)


def test_log(dump):
    assert "kernel BUG at drivers/virtio/virtio_ring.c" in get_dmesg(dump)


def test_every_helper_is_tried():
    source = open(__file__, encoding="utf-8").read()
    assert [name for name in helpers.__all__ if f"{name}(" not in source] == ["cast", "container_of", "per_cpu_ptr"]
