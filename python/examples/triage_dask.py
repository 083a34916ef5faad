"""What many dumps died of, by the machines of a Dask cluster, as a Parquet file.

    triage_dask.py [--scheduler ADDRESS] [--workers N] PLACE... -o FILE.parquet

A place is a folder, a dump, or a URL (http, https, s3). Without --scheduler a cluster of N processes runs here. Each dump is a task;
one whose worker dies runs again on another, so that each dump has one row. A folder has to be there under the same name on
every worker; dumps on a server are read by range.

Needs: pip install 'crashlens[parquet]' distributed
"""

import argparse
import sys
from collections import deque

from dask.distributed import Client, LocalCluster

from crashlens import fleet

#: Dumps that are on their way at a time, for each worker.
AHEAD = 4


def failed(dump, why):
    """The row of a dump that no worker could look at."""
    return {"file": dump, "bytes": 0, "end": "failed", "why": why}


def rows(client, dumps):
    """A row for each dump, in their order; no more than a few are on their way."""
    dumps = list(dumps)
    most = AHEAD * max(1, len(client.scheduler_info()["workers"]))
    asked = deque()
    for number, dump in enumerate(dumps):
        # a dump that is named twice is looked at twice
        asked.append((dump, client.submit(fleet.look, dump, key=f"look-{number}")))
        if len(asked) >= most:
            yield told(*asked.popleft())
    while asked:
        yield told(*asked.popleft())


def told(dump, future):
    try:
        return future.result()
    except Exception as e:  # a dump on which workers die, one after the other
        return failed(dump, f"no worker could look at it: {e}")


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("places", nargs="+", metavar="PLACE")
    args.add_argument("-o", "--output", required=True, metavar="FILE.parquet")
    args.add_argument("--scheduler", metavar="ADDRESS")
    args.add_argument("--workers", type=int, default=2, metavar="N")
    args = args.parse_args()
    dumps = fleet.find(*args.places)
    if args.scheduler:
        client = Client(args.scheduler)
    else:
        client = Client(LocalCluster(args.workers, threads_per_worker=1, dashboard_address=None))
    with client:
        count = fleet.to_parquet(rows(client, dumps), args.output)
    print(f"{count} dumps: {args.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
