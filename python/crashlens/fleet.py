"""Many dumps: a row each, those that died alike, and tables that other programs read.

    from crashlens import fleet

    rows = list(fleet.triage("/var/crash", "s3://dumps/web7/vmcore"))
    fleet.to_parquet(rows, "deaths.parquet")          # needs pyarrow: pip install 'crashlens[parquet]'

A row is what `crashlens triage --json` says of a dump. `look` makes one, of a path or of a URL, and is what an engine that spreads
work over machines is to call (`examples/triage_dask.py`).
"""

from __future__ import annotations

import concurrent.futures
import os
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Union

from . import _crashlens

if TYPE_CHECKING:
    import pyarrow

__all__ = ["COLUMNS", "find", "groups", "look", "table", "to_parquet", "triage"]

Row = Dict[str, Any]
Place = Union[str, "os.PathLike[str]"]

#: The columns of a table, with their types as pyarrow calls them. `lacks` says of each value that is null why it is not known.
COLUMNS = {
    "file": "string",
    "bytes": "uint64",
    "end": "string",
    "why": "string",
    "signature": "string",
    "class": "string",
    "headline": "string",
    "place": "string",
    "source": "string",
    "module": "string",
    "known": "list<string>",
    "release": "string",
    "host": "string",
    "time": "timestamp",
    "lacks": "list<string>",
}

#: Rows that are written together.
_ROWS = 1000


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://", "s3://"))


def find(*places: Place) -> List[str]:
    """The dumps in folders, and files; URLs as they are. What cannot be looked at is a warning."""
    urls = [str(place) for place in places if _is_url(str(place))]
    here = [place for place in places if not _is_url(str(place))]
    for place in here:
        if not os.path.exists(place):
            raise FileNotFoundError(f"{os.fspath(place)}: no such file or folder")
    dumps, problems = _crashlens.find(here)
    for why in problems:
        warnings.warn(why, stacklevel=2)
    return [str(dump) for dump in dumps] + urls


def look(dump: Place, known: Optional[Place] = None, search: bool = True) -> Row:
    """What one dump died of. A dump that cannot be read is a row too: its `end` is `failed`, its `why` says why.

    `known` is a folder of known issues beside those that are built in; `search=False` looks for no debug files."""
    row = dict(_crashlens.row(dump, known, search).data)
    row.pop("kind", None)
    return row


def triage(
    *places: Place, jobs: Optional[int] = None, known: Optional[Place] = None, search: bool = True
) -> Iterator[Row]:
    """The rows of all dumps in these places, in their order, as soon as each is known. As many are open as there are processors,
    or `jobs`; what depends on a kernel's build alone is read once."""
    dumps = iter(find(*places))
    jobs = jobs or os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        asked: deque[concurrent.futures.Future[Row]] = deque()
        try:
            for dump in dumps:
                asked.append(pool.submit(look, dump, known, search))
                if len(asked) >= 2 * jobs:
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
        finally:
            for future in asked:
                future.cancel()


def _told(value: Any) -> Any:
    """A value, or `None` where it is not known."""
    return None if isinstance(value, dict) else value


def groups(rows: Iterable[Row]) -> List[Dict[str, Any]]:
    """Those that died alike: of each signature how many dumps, and their files; the largest first. Rows without a whole signature are
    in no group."""
    found: Dict[str, Dict[str, Any]] = {}
    for row in rows:
        signature = _told(row.get("signature"))
        if signature is None or row["end"] == "failed":
            continue
        group = found.setdefault(signature, {"signature": signature, "class": row["class"], "dumps": 0, "files": []})
        group["dumps"] += 1
        group["files"].append(row["file"])
    return sorted(found.values(), key=lambda group: -group["dumps"])


def _flat(row: Row) -> Row:
    flat = {name: _told(row.get(name)) for name in COLUMNS if name != "lacks"}
    flat["lacks"] = [
        f"{name}: {value['absent']}" for name, value in row.items() if isinstance(value, dict) and "absent" in value
    ]
    return flat


def _schema() -> "pyarrow.Schema":
    import pyarrow as pa

    types = {"uint64": pa.uint64(), "list<string>": pa.list_(pa.string()), "timestamp": pa.timestamp("s", tz="UTC")}
    return pa.schema([pa.field(name, types.get(kind, pa.string())) for name, kind in COLUMNS.items()])


def table(rows: Iterable[Row]) -> "pyarrow.Table":
    """The rows as a table of pyarrow. What is not known is null, and `lacks` says why."""
    import pyarrow as pa

    return pa.Table.from_pylist([_flat(row) for row in rows], schema=_schema())


def to_parquet(rows: Iterable[Row], file: Place) -> int:
    """Writes rows as a Parquet file, a thousand at a time, and returns how many there were. The file gets its name when all is
    written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    half = f"{os.fspath(file)}.part"
    count, some = 0, []
    schema = _schema()
    try:
        with pq.ParquetWriter(half, schema) as out:

            def put() -> None:
                out.write_table(pa.Table.from_pylist(some, schema=schema))
                some.clear()

            for row in rows:
                some.append(_flat(row))
                count += 1
                if len(some) >= _ROWS:
                    put()
            put()
        os.replace(half, file)
    except BaseException:
        try:
            os.unlink(half)
        except FileNotFoundError:
            pass
        raise
    return count
