"""Opens Linux kernel crash dumps: tasks, backtraces, memory, C values, and what killed the machine.

    import crashlens

    dump = crashlens.open("vmcore")
    print(dump.verdict())
    for task in dump.tasks():
        print(task.pid, task.comm, task.state)
        print(task.stack())
    print(dump["init_task"].comm.string_())

Nothing is read before it is asked for. What the dump lacks is an exception that says so (`FaultError`), never a zero.
"""

from ._crashlens import (
    CommandError,
    CommandFailed,
    Dump,
    Error,
    ExpressionError,
    FaultError,
    Frame,
    Interrupted,
    Lock,
    Member,
    Object,
    Report,
    Stack,
    Symbol,
    Task,
    Type,
    UsageError,
    WalkError,
    builds_read,
    open,
)
from . import fleet
from .commands import Addr, Hex, Table, command
from .helpers import cast, container_of

__all__ = [
    "Addr",
    "CommandError",
    "CommandFailed",
    "Dump",
    "Error",
    "ExpressionError",
    "FaultError",
    "Frame",
    "Hex",
    "Interrupted",
    "Lock",
    "Member",
    "Object",
    "Report",
    "Stack",
    "Symbol",
    "Table",
    "Task",
    "Type",
    "UsageError",
    "WalkError",
    "builds_read",
    "cast",
    "command",
    "container_of",
    "fleet",
    "open",
]
