"""Small texts, and settings for them."""

import pytest

from gptkit.data.config import DataConfig
from gptkit.data.prepare import prepare_dataset

POEM = (
    "The quick brown fox jumps over the lazy dog.\n"
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。\n"
    "Ein kleiner Käse 🧀 kostet 3,50 €.\n"
)


@pytest.fixture
def text():
    """A text of ASCII, Chinese, an umlaut and an emoji, long enough for any window here."""
    return POEM * 40


@pytest.fixture
def text_file(tmp_path, text):
    path = tmp_path / "poem.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.fixture
def configure():
    """Return a function that makes the settings for a source; `paths` may be given alone."""

    def make(source, tokenizer=None, **settings):
        source = source if isinstance(source, dict) else {"paths": [str(source)]}
        data = {"source": source, "tokenizer": tokenizer or {"name": "char"}, **settings}
        if source.get("name") == "tokens":
            del data["tokenizer"]
        return DataConfig.model_validate(data)

    return make


@pytest.fixture
def prepare(tmp_path, configure):
    """Return a function that prepares a source below tmp_path / "cache"."""

    def run(source, tokenizer=None, *, min_train_tokens=2, progress=None, machine=None, **settings):
        more = {} if machine is None else {"machine": machine}
        return prepare_dataset(
            configure(source, tokenizer, **settings),
            cache_dir=tmp_path / "cache" / "prepared",
            min_train_tokens=min_train_tokens,
            progress=progress,
            **more,
        )

    return run


@pytest.fixture
def tokens_of():
    """Return a function that gives all tokens of a split as a list."""

    def read(dataset, split="train"):
        tokens = dataset.split(split)
        return tokens.window(0, len(tokens)).tolist()

    return read
