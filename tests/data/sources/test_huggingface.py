"""Datasets of the hub, with a stand-in for the package that reads them."""

import sys
import types

import pytest

from gptkit.data.sources import HuggingFaceConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import ConfigError, DataError

ROWS = [{"text": "one", "id": 1}, {"text": "two", "id": 2}, {"text": "three", "id": 3}]


@pytest.fixture
def hub(monkeypatch):
    """A package `datasets` that knows one dataset and remembers what it was asked for."""
    asked = []

    def load_dataset(path, **settings):
        asked.append(settings)
        if path != "some/stories":
            raise FileNotFoundError(f"no dataset {path}")
        yield from ROWS

    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


def texts(**settings):
    return list(
        HuggingFaceConfig(**{"dataset": "some/stories", **settings}).documents(Utf8Policy())
    )


def test_rows_are_streamed_with_the_settings(hub):
    assert texts(config="en", split="part", revision="v1") == ["one", "two", "three"]
    assert hub == [{"name": "en", "split": "part", "revision": "v1", "streaming": True}]


@pytest.mark.usefixtures("hub")
def test_the_number_of_documents_can_be_limited():
    assert texts(max_documents=2) == ["one", "two"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_field": "body"}, "'some/stories': row 0: has no field 'body', only 'text', 'id'"),
        ({"text_field": "id"}, "row 0: field 'id' must be a string, not int"),
        (
            {"dataset": "no/such"},
            r"'no/such' \(split 'train'\): FileNotFoundError: no dataset no/such",
        ),
    ],
)
def test_what_the_hub_or_a_row_lacks_is_an_error(settings, message):
    with pytest.raises(DataError, match=message):
        texts(**settings)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(ConfigError, match=r"pip install 'gptkit\[hf\]'"):
        HuggingFaceConfig(dataset="some/stories").check()


@pytest.mark.usefixtures("hub")
def test_a_slow_source_is_read_once_for_all_passes(hub, prepare):
    source = {"name": "hf", "dataset": "some/stories"}

    prepare(source, val_fraction=0.0)
    prepare(source, val_fraction=0.0)

    assert len(hub) == 1
