"""The extension module: what `crashlens` gives comes from here."""

import builtins
import os
import pathlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union, final, overload

class Error(Exception):
    """Why there is no answer."""

class FaultError(Error):
    """Memory that is not in the dump, or not mapped."""

    address: int

class ExpressionError(Error):
    """An expression, type or value that C has not."""

class WalkError(Error):
    """A list, tree or table that could not be walked to its end; what was found came before."""

class CommandError(Error):
    """A command that has no answer."""

    is_loss: bool

class Interrupted(Error):
    """`Dump.interrupt` stopped the question."""

class UsageError(Exception):
    """A command was called with arguments that are none of its own."""

class CommandFailed(Exception):
    """A command of one's own has no answer: a message, further lines, whether the dump lost what it needs."""

#: A number, a pointer or other object, a task, a symbol, or text as JSON has it: "0xffff…".
_Address = Union[int, str, "Object", "Task", "Symbol"]
_Number = Union[int, float, "Object"]

def open(
    *files: Union[str, "os.PathLike[str]"],
    debug_dirs: Sequence[Union[str, "os.PathLike[str]"]] = ...,
    search: bool = True,
    force: bool = False,
) -> Dump:
    """Opens a dump (all files of a split one), and perhaps a vmlinux, modules or packages beside it, in any order.

    A dump may be on a server (`http://`, `https://`, `s3://BUCKET/KEY`): what is asked for is read of it, by range.
    `debug_dirs` are further folders to look for debug files in, `search=False` takes only what is named, `force=True` takes a
    vmlinux of another build."""

def find(places: Sequence[Union[str, "os.PathLike[str]"]]) -> Tuple[List["pathlib.Path"], List[str]]:
    """The dumps in folders, and why a folder could not be looked at."""

def row(
    file: Union[str, "os.PathLike[str]"],
    known: Optional[Union[str, "os.PathLike[str]"]] = None,
    search: bool = True,
) -> Report:
    """What one dump died of, as `crashlens triage --json` says it. One that cannot be opened is a row that says why."""

def builds_read() -> int:
    """How many builds of a kernel were read so far: dumps of one build share what depends on it."""

def main(words: Sequence[Union[str, bytes]]) -> int:
    """Runs the program `crashlens` with these words behind its name; its exit code."""

def add_command(
    name: str,
    about: str,
    details: str,
    arguments: Sequence[Tuple[str, str, str, str, Sequence[str]]],
    needs_dump: bool,
    call: Callable[[Optional[Dump], List[Tuple[str, List[str]]]], Any],
) -> None:
    """Adds a command; `crashlens.command` is what to use."""

@final
class Dump:
    """An opened dump. Objects that come from it keep it open."""

    @property
    def format(self) -> str:
        """Its format, in words."""
    @property
    def files(self) -> List[str]:
        """The files that it was opened from."""
    @property
    def release(self) -> Optional[str]:
        """The kernel's release."""
    @property
    def is_interrupted(self) -> bool:
        """True while what is asked of it is being stopped."""
    def __getitem__(self, name: str, /) -> Object:
        """A variable, function or enumerator by its name; `KeyError` where there is none."""
    def __contains__(self, name: str, /) -> bool: ...
    def eval(self, text: str) -> Object:
        """The value of a C expression, as `p` has it."""
    def type(self, name: str) -> Type:
        """A type as C writes it: "struct task_struct", "pid_t", "unsigned long *"; `KeyError` where there is none."""
    def object(self, type: str, address: _Address) -> Object:
        """The object of a type at an address."""
    def symbol(self, which: _Address) -> Symbol:
        """A symbol by its name, or the one that an address lies in; `LookupError` where there is none."""
    def read(self, address: _Address, size: int, physical: bool = False) -> bytes:
        """Memory, all of it or `FaultError`. `numpy.frombuffer` and `memoryview` take it as it is."""
    def tasks(self) -> List[Task]:
        """All tasks, by pid; the idle tasks, one for each CPU, first."""
    def lacks_tasks(self) -> Optional[str]:
        """Why there may be more tasks than `tasks` gives; `None` where it gives all."""
    def task(self, which: Union[int, Object, Task, str]) -> Task:
        """The task of a pid (a number), or of a `task_struct` (an object or "0x…"); `LookupError` where there is none."""
    def panic_task(self) -> Optional[Task]:
        """The task in which the machine died; `None` where it did not, or where that is not known."""
    def stack(self, task: Union[int, Object, Task, str]) -> Stack:
        """The frames of a task."""
    def run(self, line: str) -> Report:
        """Runs a command of the program: `run("ps -m")`."""
    def verdict(self) -> Report:
        """What killed the machine: `verdict()["headline"]`."""
    def cpus(self, online: bool = True) -> List[int]:
        """The CPUs that were on, or those that could be there."""
    @property
    def transferred(self) -> Optional[Tuple[int, int]]:
        """Requests to servers and bytes that they sent; `None` where all files are here."""
    def interrupt(self) -> None:
        """Stops what other threads ask of this dump now."""

@final
class Symbol:
    """A symbol, and how far into it an address is."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def module(self) -> Optional[str]: ...
    def __index__(self) -> int: ...

@final
class Type:
    """A type of the kernel. `str` of it is its layout."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str:
        """void, int, bool, float, pointer, array, struct, union, enum or function, behind typedefs."""
    @property
    def is_signed(self) -> bool:
        """Whether its numbers may be negative: those of an integer or an enumeration."""
    @property
    def size(self) -> int:
        """In bytes."""
    @property
    def length(self) -> Optional[int]:
        """The elements of an array."""
    @property
    def type_(self) -> Optional[Type]:
        """What a pointer leads to, an array holds, a function returns."""
    @property
    def members(self) -> List[Member]: ...
    @property
    def enumerators(self) -> Dict[str, int]: ...
    def has_member(self, name: str) -> bool:
        """Whether C takes the name behind `.`, also of a member of an anonymous struct."""
    def offsetof(self, member: str) -> int:
        """Bytes to a member: `offsetof("se.exec_start")`."""
    def at(self, address: _Address) -> Object:
        """The object of this type at an address."""
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def _repr_html_(self) -> str: ...

@final
class Member:
    """A member of a struct or union."""

    @property
    def name(self) -> Optional[str]: ...
    @property
    def type_(self) -> Type: ...
    @property
    def offset(self) -> int: ...
    @property
    def bit_offset(self) -> int: ...
    @property
    def bit_field_size(self) -> Optional[int]: ...

@final
class Object:
    """A value of C. Members are attributes, behind pointers too (`task.mm.owner`); names of this class end with `_`.

    Numbers calculate as Python's (they do not wrap), pointers as C's. Nothing is read before its value is asked for;
    `FaultError` says what the dump lacks."""

    @property
    def address_(self) -> Optional[int]:
        """Where it lies, for a value in memory."""
    @property
    def type_(self) -> Type: ...
    @property
    def enumerator_(self) -> Optional[str]:
        """The name of its number, of an enumeration."""
    def value_(self) -> Any:
        """Its value in Python: a number, a bool, a list, a dict of members. A member that is an array without a length (`[]`) is
        `None`: how much of it is there the type does not say."""
    def member_(self, name: str) -> Object: ...
    def address_of_(self) -> Object: ...
    def deref_(self) -> Object: ...
    def cast_(self, to: str) -> Object: ...
    def container_of_(self, of: str, member: str) -> Object: ...
    def per_cpu_(self, cpu: int) -> Object: ...
    def string_(self, max: int = 4096) -> bytes:
        """The text at a pointer or in an array of characters, up to its NUL."""
    def bytes_(self) -> bytes: ...
    def text_(self) -> str:
        """As `p` shows it. Memory that is missing is marked in it."""
    def walk_(
        self, how: str, of: Optional[str] = None, member: Optional[str] = None
    ) -> Tuple[List[Tuple[int, Object]], List[str]]:
        """The entries of a list, tree or table that begins here, and why there may be more: see `crashlens.helpers`."""
    def __getattr__(self, name: str) -> Object: ...
    @overload
    def __getitem__(self, at: Union[int, Object], /) -> Object: ...
    @overload
    def __getitem__(self, at: slice, /) -> List[Object]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Object]: ...
    def __bytes__(self) -> bytes: ...
    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> Any: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __float__(self) -> float: ...
    def __bool__(self) -> bool: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: _Number, /) -> bool: ...
    def __le__(self, other: _Number, /) -> bool: ...
    def __gt__(self, other: _Number, /) -> bool: ...
    def __ge__(self, other: _Number, /) -> bool: ...
    def __neg__(self) -> Any: ...
    def __invert__(self) -> int: ...
    def __add__(self, other: _Number, /) -> Any: ...
    def __radd__(self, other: _Number, /) -> Any: ...
    def __sub__(self, other: _Number, /) -> Any: ...
    def __rsub__(self, other: _Number, /) -> Any: ...
    def __mul__(self, other: _Number, /) -> Any: ...
    def __rmul__(self, other: _Number, /) -> Any: ...
    def __truediv__(self, other: _Number, /) -> float: ...
    def __rtruediv__(self, other: _Number, /) -> float: ...
    def __floordiv__(self, other: _Number, /) -> Any: ...
    def __rfloordiv__(self, other: _Number, /) -> Any: ...
    def __mod__(self, other: _Number, /) -> Any: ...
    def __rmod__(self, other: _Number, /) -> Any: ...
    def __and__(self, other: _Number, /) -> int: ...
    def __rand__(self, other: _Number, /) -> int: ...
    def __or__(self, other: _Number, /) -> int: ...
    def __ror__(self, other: _Number, /) -> int: ...
    def __xor__(self, other: _Number, /) -> int: ...
    def __rxor__(self, other: _Number, /) -> int: ...
    def __lshift__(self, other: _Number, /) -> int: ...
    def __rlshift__(self, other: _Number, /) -> int: ...
    def __rshift__(self, other: _Number, /) -> int: ...
    def __rrshift__(self, other: _Number, /) -> int: ...
    def _repr_html_(self) -> str: ...

@final
class Task:
    """A task of the kernel."""

    @property
    def pid(self) -> int: ...
    @property
    def tgid(self) -> int: ...
    @property
    def comm(self) -> str: ...
    @property
    def address(self) -> int:
        """Of its `task_struct`."""
    @property
    def cpu(self) -> Optional[int]:
        """The CPU that it runs or last ran on."""
    @property
    def state(self) -> Optional[str]:
        """As `ps` shows it: RU, IN, UN, ID, ST, TR, ZO, DE, PA, NE, WA."""
    @property
    def is_active(self) -> bool:
        """True where it is known to have been on a CPU when the machine stopped."""
    @property
    def is_kernel(self) -> Optional[bool]: ...
    @property
    def object(self) -> Object:
        """Its `task_struct`."""
    def stack(self) -> Stack: ...
    def waits_for(self) -> Optional[Lock]:
        """The lock that it waits for."""
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: builtins.object, /) -> bool: ...

@final
class Lock:
    """A lock that a task waits for."""

    @property
    def kind(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def owner(self) -> Optional[Task]: ...

@final
class Stack:
    """The frames of a task, innermost first."""

    @property
    def stopped(self) -> str:
        """Why there are no more frames."""
    @property
    def is_whole(self) -> bool:
        """True where they reach the end of the stack."""
    @property
    def remark(self) -> Optional[str]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> Frame: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def _repr_html_(self) -> str: ...

@final
class Frame:
    """A frame."""

    @property
    def pc(self) -> int: ...
    @property
    def sp(self) -> int: ...
    @property
    def name(self) -> Optional[str]:
        """The function, where a symbol tells it."""
    @property
    def offset(self) -> Optional[int]: ...
    @property
    def module(self) -> Optional[str]: ...
    @property
    def source(self) -> Optional[Tuple[str, int]]:
        """File and line, where debug information is at hand."""
    @property
    def is_guess(self) -> bool:
        """True where it was found by a search of the stack, and may be what an earlier call left behind."""
    def locals(self) -> Dict[str, Object]:
        """Parameters and local variables, where debug information is at hand."""
    def __getitem__(self, name: str, /) -> Object: ...

class Report:
    """The answer of a command."""

    @property
    def command(self) -> str: ...
    @property
    def data(self) -> Any:
        """As docs/JSON.md describes it: `run("ps").data["tasks"]`; `report["tasks"]` is the same."""
    @property
    def json(self) -> str:
        """The line that `crashlens --json` prints."""
    @property
    def text(self) -> str: ...
    @property
    def html(self) -> str:
        """A page."""
    @property
    def is_incomplete(self) -> bool:
        """True where the dump lost a part of the answer."""
    @property
    def failed(self) -> bool:
        """True where a part of what was asked could not be done."""
    def keys(self) -> Any: ...
    def __getitem__(self, key: str, /) -> Any: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def _repr_html_(self) -> str: ...
