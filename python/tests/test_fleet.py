"""Many dumps: rows, groups, Parquet, and a cluster of which a worker is killed."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from server import serving

import crashlens
from crashlens import fleet

#: Dumps for the cluster; the issue's number outside CI.
MANY = int(os.environ.get("CRASHLENS_MANY", "24"))


@pytest.fixture(scope="session")
def crowd(sample, tmp_path_factory):
    """A folder of dumps, of which some are damaged."""
    folder = tmp_path_factory.mktemp("crowd")
    for number in range(MANY):
        os.symlink(sample, folder / f"vmcore-{number:03}")
    (folder / "vmcore-cut").write_bytes(sample.read_bytes()[:100_000])
    return folder


def test_a_row_is_what_triage_says(sample):
    row = fleet.look(sample, search=False)
    script = ["import sys", "from crashlens.__main__ import main", "sys.exit(main())"]
    args = [sys.executable, "-c", "; ".join(script), "-s", "--no-search", "--json", "triage", str(sample)]
    told = subprocess.run(args, capture_output=True, text=True, check=False).stdout.splitlines()[0]
    for name in ("signature", "class", "place", "release", "host", "time", "end"):
        assert f'"{name}":' in told and row[name] == __import__("json").loads(told)["data"][name], name
    assert row["class"] == "bug" and row["bytes"] == sample.stat().st_size


def test_bad_dumps_are_rows(tmp_path, sample):
    (tmp_path / "vmcore").write_text("no dump")
    row = fleet.look(tmp_path / "vmcore")
    assert row["end"] == "failed" and "vmcore" in row["why"]
    assert fleet.look(tmp_path / "nosuch")["end"] == "failed"
    assert fleet.look("http://127.0.0.1:1/vmcore")["end"] == "failed"
    with pytest.raises(FileNotFoundError):
        list(fleet.triage(tmp_path / "nosuch"))


def test_all_dumps_of_a_folder_and_of_a_server(crowd, sample):
    with serving({"/vmcore": sample.read_bytes()}) as server:
        rows = list(fleet.triage(crowd, f"{server.url}/vmcore", search=False))
    assert len(rows) == MANY + 2
    assert rows[-1]["file"] == f"{server.url}/vmcore" and rows[-1]["bytes"] == sample.stat().st_size
    (group,) = fleet.groups(row for row in rows if row["end"] == "whole")
    assert group["dumps"] == MANY + 1 and group["class"] == "bug"
    assert crashlens.builds_read() <= 1
    # nobody reads on
    assert next(iter(fleet.triage(crowd, search=False)))["file"].endswith("vmcore-000")


def test_rows_as_parquet(crowd, sample, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    rows = [fleet.look(sample, search=False), fleet.look(crowd / "vmcore-cut", search=False)]
    file = tmp_path / "deaths.parquet"
    assert fleet.to_parquet(iter(rows), file) == 2
    read = pq.read_table(file)
    assert read.column_names == list(fleet.COLUMNS)
    whole, cut = read.to_pylist()
    assert whole["signature"] == rows[0]["signature"] and whole["time"].timestamp() == rows[0]["time"]
    assert whole["lacks"] == [] and whole["known"] == rows[0]["known"]
    assert cut["end"] in ("failed", "incomplete") and cut["why"]
    assert cut["class"] is None or cut["signature"] is None
    # what breaks off leaves no file that looks whole
    def broken():
        yield rows[0]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fleet.to_parquet(broken(), tmp_path / "half.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["deaths.parquet"]


def test_a_cluster_of_which_a_worker_is_killed(crowd):
    distributed = pytest.importorskip("dask.distributed")
    path = pathlib.Path(__file__).parents[1] / "examples/triage_dask.py"
    spec = importlib.util.spec_from_file_location("triage_dask", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    dumps = fleet.find(crowd)
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            workers = client.run(os.getpid)
            assert len(workers) == 2
            rows = []
            for row in example.rows(client, dumps):
                rows.append(row)
                if len(rows) == 3:
                    os.kill(next(iter(workers.values())), signal.SIGKILL)
            left = set(client.run(os.getpid).values())
    assert left != set(workers.values()), "the worker is still there"
    here = list(fleet.triage(crowd))
    assert [row["file"] for row in rows] == dumps, "a row for each dump, once"
    assert rows == here
