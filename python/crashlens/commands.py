"""One's own commands: a function becomes a command of crashlens, with help, completion, JSON and HTML.

    from typing import Annotated
    import crashlens

    @crashlens.command
    def waiting(dump, state: Annotated[str, "as ps has it"] = "UN", *, kernel: bool = False):
        \"\"\"tasks in a state, and what they are in

        Threads of the kernel are left out, unless --kernel asks for them.
        \"\"\"
        rows = [
            {"pid": task.pid, "task": crashlens.Addr(task.address), "comm": task.comm, "in": task.stack()[0].name}
            for task in dump.tasks()
            if task.state == state and (kernel or not task.is_kernel)
        ]
        return crashlens.Table(rows)

A file with it in `~/.config/crashlens/commands/` (`$XDG_CONFIG_HOME` counts), or a package whose entry point of the group
`crashlens.commands` names its module, is read by the wheel's `crashlens` when it starts.

Parameters behind the dump are operands; those behind `*` are options: a `bool` without a value, others with one. Their
annotations say what words become: `str`, `int` (`0x` for hex), `float`, `crashlens.Addr` (an address or a symbol),
`crashlens.Task` (a pid or an address), `Literal` of several words; `Optional` of these. A text in `Annotated` is the help.

What it returns is its report: a `Table`, a list of dicts (a table), a dict (a record), text, `None`, or a `crashlens.Report` of
another command. What it prints comes before that.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import inspect
import io
import os
import pathlib
import sys
import threading
import time
import traceback
import typing
from typing import Any, Callable, Dict, Iterable, List, Literal, Optional, Sequence, Tuple, Union

from . import _crashlens
from ._crashlens import CommandFailed, Dump, Error, FaultError, Interrupted, Object, Report, Symbol, Task, UsageError

__all__ = ["Addr", "Hex", "Table", "command", "load"]

#: Seconds that a command may take where it says nothing else.
SECONDS = 600.0
#: The most rows, lines and cells within a cell that a report may have.
MOST = 5_000_000


class Addr(int):
    """An address: shown in hex, as the program's own are."""

    def __repr__(self) -> str:
        return f"Addr({int(self):#x})"


class Hex(int):
    """A number that is read in hex: a mask, flags."""

    def __repr__(self) -> str:
        return f"Hex({int(self):#x})"


class Table:
    """Rows with columns. `rows` are dicts, or sequences in the order of `columns`; `key` is the list's name in JSON; `notes` are
    told below; `missing` says what of the dump is lost, so that the answer is not whole (exit code 4)."""

    def __init__(
        self,
        rows: Iterable[Any],
        columns: Optional[Sequence[str]] = None,
        *,
        key: str = "rows",
        notes: Sequence[str] = (),
        missing: Sequence[str] = (),
    ) -> None:
        self.rows = list(rows)
        self.columns = None if columns is None else [str(column) for column in columns]
        self.key = key
        self.notes = list(notes)
        self.missing = list(missing)


class _Stopped(BaseException):
    """A command took too long."""


class _Argument:
    """A parameter of a function as an argument of a command."""

    def __init__(self, parameter: inspect.Parameter, hint: Any) -> None:
        self.name = parameter.name
        self.help = ""
        self.choices: List[str] = []
        self.default = None if parameter.default is parameter.empty else parameter.default
        if typing.get_origin(hint) is not None and hasattr(hint, "__metadata__"):
            self.help = next((str(text) for text in hint.__metadata__ if isinstance(text, str)), "")
            hint = hint.__origin__
        if typing.get_origin(hint) is Union:
            inner = [kind for kind in typing.get_args(hint) if kind is not type(None)]
            hint = inner[0] if len(inner) == 1 else str
        if typing.get_origin(hint) is Literal:
            self.choices = [str(word) for word in typing.get_args(hint)]
            hint = str
        self.kind = str if hint in (parameter.empty, Any) else hint
        if self.kind not in (str, int, float, bool, Addr, Task):
            raise TypeError(f"{self.name}: arguments are str, int, float, bool, Addr, Task or Literal, not {hint!r}")
        self.takes = self._takes(parameter)
        self.option = self.name.replace("_", "-")

    def _takes(self, parameter: inspect.Parameter) -> str:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return "operands"
        if parameter.kind is parameter.KEYWORD_ONLY:
            if self.kind is bool:
                return "nothing"
            if parameter.default is parameter.empty:
                raise TypeError(f"{self.name}: an option needs a default")
            return "value"
        if parameter.kind is parameter.VAR_KEYWORD:
            raise TypeError(f"**{self.name}: a command's options have names")
        if self.kind is bool:
            raise TypeError(f"{self.name}: a bool is an option: put it behind *")
        return "required" if parameter.default is parameter.empty else "operand"

    def told(self) -> Tuple[str, str, str, str, List[str]]:
        """As the extension module takes it."""
        names = {str: "WORD", int: "NUMBER", float: "NUMBER", bool: "", Addr: "ADDRESS", Task: "TASK"}
        value = self.name.upper() if self.kind is str else names[self.kind]
        return (self.option, self.help, self.takes, value, self.choices)

    def value(self, dump: Optional[Dump], word: str) -> Any:
        """What a word becomes."""
        if self.kind is str:
            return word
        if self.kind in (int, float):
            try:
                return int(word, 0) if self.kind is int else float(word)
            except ValueError:
                raise UsageError(f"{word}: {self.option} is a number") from None
        if dump is None:
            raise UsageError(f"{word}: without a dump there is no {self.kind.__name__}")
        if self.kind is Task:
            try:
                # a number alone is a pid; an address is handed on as one, however small it is
                return dump.task(int(word)) if word.isdecimal() else dump.task(hex(int(word, 16)))
            except (ValueError, LookupError):
                raise UsageError(f"{word}: no such task: a pid, or an address in hex") from None
        try:
            return Addr(int(word, 16))
        except ValueError:
            pass
        try:
            return Addr(dump.symbol(word).address)
        except LookupError:
            raise UsageError(f"{word}: neither an address in hex nor a symbol") from None


class _Command:
    """A function, and how it is called as a command."""

    def __init__(self, function: Callable[..., Any], name: Optional[str], seconds: float, needs_dump: bool) -> None:
        self.function = function
        self.name = name or function.__name__.replace("_", "-")
        self.seconds = seconds
        self.needs_dump = needs_dump
        text = inspect.cleandoc(function.__doc__ or "").strip()
        self.about, _, self.details = text.partition("\n")
        # what stands between Annotated's brackets is read, wherever the function was written
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise TypeError(f"{self.name}: its first parameter is the dump")
        self.arguments = [_Argument(p, hints.get(p.name, p.empty)) for p in parameters[1:]]

    def add(self) -> None:
        about = self.about or "a command of one's own"
        details = self.details.strip()
        told = [argument.told() for argument in self.arguments]
        _crashlens.add_command(self.name, about, details, told, self.needs_dump, self.call)

    def call(self, dump: Optional[Dump], given: List[Tuple[str, List[str]]]) -> Any:
        """Runs it; called by the extension module, whose errors `UsageError` and `CommandFailed` become."""
        operands: List[Any] = []
        options: Dict[str, Any] = {}
        for argument, (_, words) in zip(self.arguments, given):
            values = [] if argument.takes == "nothing" else [argument.value(dump, word) for word in words]
            if argument.takes == "operands":
                operands.extend(values)
            elif argument.takes == "nothing":
                options[argument.name] = bool(words)
            elif argument.takes == "value":
                options[argument.name] = values[-1] if values else argument.default
            else:
                operands.append(values[-1] if values else argument.default)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                found = _watched(lambda: self.function(dump, *operands, **options), dump, self.seconds)
                return _report(found, printed.getvalue())
        except (KeyboardInterrupt, Interrupted, UsageError, CommandFailed):
            raise
        except _Stopped:
            failed = CommandFailed(f"stopped: it took more than {self.seconds:g} seconds", [], False)
            # the question that it had asked was stopped, and not the command: see own.rs
            failed.is_limit = True  # type: ignore[attr-defined]
            raise failed from None
        except BaseException as error:
            raise self._failed(error) from None

    def _failed(self, error: BaseException) -> CommandFailed:
        own = os.path.dirname(__file__)
        places = traceback.extract_tb(error.__traceback__)
        below = [
            f"  {place.filename}:{place.lineno} in {place.name}: {place.line}"
            for place in places
            if os.path.dirname(place.filename) != own
        ]
        kind = type(error).__name__
        if isinstance(error, _Nonsense):
            return CommandFailed(str(error), [], False)
        if isinstance(error, Error):
            return CommandFailed(f"{kind}: {error}", below, isinstance(error, FaultError))
        return CommandFailed(f"raised {kind}: {error}" if str(error) else f"raised {kind}", below, False)


class _Nonsense(Exception):
    """What was returned is no report."""


def _watched(work: Callable[[], Any], dump: Optional[Dump], seconds: float) -> Any:
    """Does work that Ctrl-C and a time limit end, also where it is a loop of Python that asks for nothing."""
    thread = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    over = threading.Event()

    def raise_there(kind: type) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(kind))

    def watch() -> None:
        end = time.monotonic() + seconds
        while not over.wait(0.05):
            with lock:
                if over.is_set():
                    return
                if dump is not None and dump.is_interrupted:
                    raise_there(KeyboardInterrupt)
                elif time.monotonic() > end:
                    raise_there(_Stopped)
                    if dump is not None:
                        dump.interrupt()

    watcher = threading.Thread(target=watch, name="crashlens watch", daemon=True)
    watcher.start()
    try:
        return work()
    finally:
        with lock:
            over.set()
        # one that was raised just now comes here, and not where nobody waits for it
        for _ in range(8):
            pass


def _report(found: Any, printed: str) -> Any:
    """What a function gave, as parts of a report."""
    parts: List[Tuple[Any, ...]] = []
    if printed:
        parts.append(("lines", printed.rstrip("\n").split("\n")))
    if isinstance(found, Report):
        if parts:
            raise _Nonsense("a command that returns another's report prints nothing beside it")
        return found
    if isinstance(found, (list, tuple)) and found and all(isinstance(row, dict) for row in found):
        found = Table(found)
    if found is None:
        pass
    elif isinstance(found, str):
        parts.append(("lines", found.rstrip("\n").split("\n")))
    elif isinstance(found, dict):
        parts.append(("record", [(_name(key), _cell(value)) for key, value in found.items()]))
    elif isinstance(found, Table):
        parts.extend(_table(found))
    elif isinstance(found, (list, tuple)):
        parts.append(("lines", [line if isinstance(line, str) else str(_plain(line)) for line in found]))
    else:
        kinds = "a Table, a list, a dict, text, None or a Report of another command"
        raise _Nonsense(f"it returned {_article(found)}, which is no report: return {kinds}")
    return parts


def _article(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _name(key: Any) -> str:
    if not isinstance(key, str) or not key:
        raise _Nonsense(f"{key!r} cannot be the name of a column or a value: names are text")
    return key


def _table(table: Table) -> List[Tuple[Any, ...]]:
    if len(table.rows) > MOST:
        raise _Nonsense(f"more than {MOST} rows")
    columns = table.columns
    if columns is None:
        if not all(isinstance(row, dict) for row in table.rows):
            raise _Nonsense("rows that are no dicts need columns: Table(rows, [\"pid\", \"comm\"])")
        columns = list(dict.fromkeys(_name(key) for row in table.rows for key in row))
    rows = []
    for number, row in enumerate(table.rows):
        if isinstance(row, dict):
            unknown = [key for key in row if key not in columns]
            if unknown:
                raise _Nonsense(f"row {number} has {unknown[0]!r}, which is no column")
            rows.append([_cell(row.get(column)) for column in columns])
        elif isinstance(row, (list, tuple)) and len(row) == len(columns):
            rows.append([_cell(value) for value in row])
        else:
            raise _Nonsense(f"row {number} is {_article(row)}, not a dict or {len(columns)} values")
    parts: List[Tuple[Any, ...]] = [("table", _name(table.key), columns, rows)]
    parts.extend(("note", "info", str(note)) for note in table.notes)
    parts.extend(("note", "missing", str(note)) for note in table.missing)
    return parts


def _plain(value: Any) -> Any:
    return value.text_() if isinstance(value, Object) else value


def _cell(value: Any, depth: int = 0) -> Any:
    """A value as the extension module takes it. Memory that the dump lacks stays a value that says so."""
    if value is None or isinstance(value, (bool, str, bytes, float)):
        return value
    if isinstance(value, Addr):
        return ("addr", int(value))
    if isinstance(value, Hex):
        return ("hex", int(value))
    if isinstance(value, int):
        if not -(1 << 127) <= value < 1 << 127:
            raise _Nonsense("a number of more than 128 bits")
        return int(value)
    if isinstance(value, FaultError):
        return ("lost", str(value))
    if isinstance(value, Task):
        return ("addr", value.address)
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, Object):
        try:
            kind = value.type_.kind
            if kind == "pointer":
                return ("addr", int(value))
            if kind in ("int", "bool", "float"):
                return value.value_()
            if kind == "enum":
                return value.enumerator_ or int(value)
            return value.text_()
        except FaultError as fault:
            return ("lost", str(fault))
    if isinstance(value, (list, tuple)) and depth == 0:
        return [_cell(item, 1) for item in value[:MOST]]
    raise _Nonsense(f"{_article(value)} is no value of a report: numbers, text, bytes, Addr, Hex, objects and lists of these are")


def command(
    function: Optional[Callable[..., Any]] = None,
    *,
    name: Optional[str] = None,
    seconds: float = SECONDS,
    needs_dump: bool = True,
) -> Any:
    """Makes a command of a function: see the module's page. `seconds` is how long it may take."""

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        _Command(function, name, seconds, needs_dump).add()
        return function

    return make if function is None else make(function)


def folder() -> pathlib.Path:
    """Where files with commands are."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return pathlib.Path(base) / "crashlens" / "commands"


def load() -> List[str]:
    """Reads all commands: entry points of the group `crashlens.commands`, then the files of `folder()`. Says what could not be
    read; the others are there."""
    problems = []
    for point in _entry_points():
        try:
            point.load()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            problems.append(f"commands of {point.name} ({point.value}): {_why(error, None)}")
    for path in sorted(folder().glob("*.py")):
        try:
            load_file(path)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            problems.append(f"{path}: {_why(error, path)}")
    return problems


def load_file(path: "os.PathLike[str]") -> None:
    """Reads a file with commands."""
    path = pathlib.Path(path)
    name = f"crashlens_commands_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _entry_points() -> Iterable[importlib.metadata.EntryPoint]:
    found: Any = importlib.metadata.entry_points()
    if hasattr(found, "select"):
        return found.select(group="crashlens.commands")
    return found.get("crashlens.commands", ())


def _why(error: BaseException, path: Optional[pathlib.Path]) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    places = [p for p in traceback.extract_tb(error.__traceback__) if path is not None and p.filename == str(path)]
    place = f"line {places[-1].lineno}: " if places else ""
    return f"{place}{type(error).__name__}: {error}"
