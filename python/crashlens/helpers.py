"""The names that users of drgn know, and what each is here.

Lists, trees and tables are walked with guards: one that breaks off, leads in a circle or outside gives the entries that
were found, and then raises `WalkError`, which says why there may be more.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple, Union

from ._crashlens import Dump, Object, Task, WalkError

__all__ = [
    "cast",
    "container_of",
    "cpu_curr",
    "find_task",
    "for_each_module",
    "for_each_online_cpu",
    "for_each_possible_cpu",
    "for_each_task",
    "get_dmesg",
    "hlist_for_each_entry",
    "idr_for_each",
    "list_empty",
    "list_for_each_entry",
    "mt_for_each",
    "per_cpu",
    "per_cpu_ptr",
    "rbtree_inorder_for_each_entry",
    "task_state_to_char",
    "xa_for_each",
]


def cast(type: str, obj: Object) -> Object:
    """`obj` as another type, by C's rules."""
    return obj.cast_(type)


def container_of(ptr: Object, type: str, member: str) -> Object:
    """A pointer to the struct whose member `ptr` points to; `type` is the struct (`"struct task_struct"`)."""
    return ptr.container_of_(type, member)


def _walked(found: Tuple[List[Tuple[int, Object]], List[str]]) -> Iterator[Tuple[int, Object]]:
    entries, problems = found
    yield from entries
    if problems:
        raise WalkError("; ".join(problems))


def list_for_each_entry(type: str, head: Object, member: str) -> Iterator[Object]:
    """The entries of a `list_head`: pointers to `type`, whose member `member` is in the list."""
    return (entry for _, entry in _walked(head.walk_("list", type, member)))


def list_empty(head: Object) -> bool:
    """Whether a `list_head` leads to itself."""
    return bool(head.next == (head if head.address_ is None else head.address_))


def hlist_for_each_entry(type: str, head: Object, member: str) -> Iterator[Object]:
    """The entries of an `hlist_head` or `hlist_nulls_head`."""
    return (entry for _, entry in _walked(head.walk_("hlist", type, member)))


def rbtree_inorder_for_each_entry(type: str, root: Object, member: str) -> Iterator[Object]:
    """The entries of an `rb_root` or `rb_root_cached`, ascending."""
    return (entry for _, entry in _walked(root.walk_("rbtree", type, member)))


def xa_for_each(xa: Object, type: Optional[str] = None) -> Iterator[Tuple[int, Object]]:
    """The entries of an XArray or radix tree with their indices; as pointers to `type`, where that is given."""
    return _walked(xa.walk_("xarray", type))


def idr_for_each(idr: Object, type: Optional[str] = None) -> Iterator[Tuple[int, Object]]:
    """The entries of an IDR with their numbers."""
    return _walked(idr.walk_("idr", type))


def mt_for_each(mt: Object, type: Optional[str] = None) -> Iterator[Tuple[int, Object]]:
    """The entries of a maple tree with the first index of each."""
    return _walked(mt.walk_("maple", type))


def for_each_task(dump: Dump) -> Iterator[Task]:
    """All tasks, the idle ones included; `dump.lacks_tasks()` says why there may be more."""
    return iter(dump.tasks())


def find_task(dump: Dump, pid: int) -> Optional[Task]:
    """The task of a thread id; `None` where there is none."""
    try:
        return dump.task(pid)
    except LookupError:
        return None


def task_state_to_char(task: Task) -> Optional[str]:
    """The letter of its state, as `ps` of procps has it: `R`, `S`, `D`, `T`, `t`, `X`, `Z`, `P`, `I`; `None` where it is not
    known. `task.state` has crash's two letters."""
    letters = {
        "RU": "R",
        "IN": "S",
        "UN": "D",
        "ST": "T",
        "TR": "t",
        "DE": "X",
        "ZO": "Z",
        "PA": "P",
        "ID": "I",
    }
    return letters.get(task.state or "")


def cpu_curr(dump: Dump, cpu: int) -> Object:
    """The `task_struct` that a CPU ran."""
    return per_cpu(dump["runqueues"], cpu).curr


def per_cpu(obj: Object, cpu: int) -> Object:
    """The copy of a per-CPU variable that a CPU has."""
    return obj.per_cpu_(cpu)


def per_cpu_ptr(ptr: Object, cpu: int) -> Object:
    """Where a per-CPU pointer leads to on a CPU."""
    return ptr.per_cpu_(cpu)


def for_each_online_cpu(dump: Dump) -> Iterator[int]:
    """The CPUs that were on."""
    return iter(dump.cpus())


def for_each_possible_cpu(dump: Dump) -> Iterator[int]:
    """The CPUs that could be there."""
    return iter(dump.cpus(online=False))


def for_each_module(dump: Dump) -> Iterator[Object]:
    """The `struct module` of each module, as pointers."""
    return list_for_each_entry("struct module", dump["modules"], "list")


def get_dmesg(dump: Dump) -> str:
    """The kernel's log, as `dmesg` prints it."""
    return dump.run("log").text
