"""The examples of the documents run, on the sample."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Places that an example names, and what stands for them here.
PLACES = {'"/var/crash"': '"crashes"', '"s3://dumps/web7/vmcore"': '"vmcore"'}
EXAMPLES = [
    pytest.param(code, id=f"{name}-{number}")
    for name in ("README.md", "docs/PYTHON.md", "python/README.md")
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.S | re.M))
]


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(code, sample, tmp_path, monkeypatch, capsys):
    (tmp_path / "vmcore").symlink_to(sample)
    (tmp_path / "crashes").mkdir()
    (tmp_path / "crashes/vmcore").symlink_to(sample)
    monkeypatch.chdir(tmp_path)
    if "pyarrow" in code or "to_parquet" in code:
        pytest.importorskip("pyarrow")
    for place, here in PLACES.items():
        code = code.replace(place, here)
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    if "print(" in code:
        assert capsys.readouterr().out
