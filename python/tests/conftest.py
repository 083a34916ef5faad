"""The shipped sample, opened once."""

import json
import os
import pathlib

import pytest

import crashlens

SAMPLES = pathlib.Path(os.environ.get("CRASHLENS_SAMPLES", pathlib.Path(__file__).parents[2] / "samples"))
SAMPLE = SAMPLES / "virtio-bug.kdump"


@pytest.fixture(scope="session")
def sample():
    return SAMPLE


@pytest.fixture(scope="session")
def dump():
    return crashlens.open(SAMPLE, search=False)


@pytest.fixture(scope="session")
def truth():
    """What the guest said of itself before it died."""
    with open(SAMPLES / "virtio-bug.truth.json", encoding="utf-8") as file:
        return json.load(file)
