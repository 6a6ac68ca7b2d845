"""Text to tokens."""

import json
from collections.abc import Iterator

import pytest

from gptkit.data.encoding import encode_file, encode_pieces
from gptkit.data.pieces import Piece, read_pieces
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.tokenizers.bpe import train
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.config import BPEConfig


@pytest.fixture
def bpe(text):
    return train(
        BPEConfig(vocab_size=300),
        lambda: [text],
        total_bytes=len(text.encode()),
        progress=lambda n: None,
    )


class Cut:
    """A source of one document, in chunks of a size."""

    def __init__(self, text, size):
        self.text, self.size = text, size

    def documents(self, utf8) -> Iterator[Iterator[str]]:
        yield (self.text[i : i + self.size] for i in range(0, len(self.text), self.size))


def tokens(source, tokenizer, num_threads):
    pieces = (("train", piece) for piece in read_pieces(source, Utf8Policy()))
    batches = encode_pieces(pieces, tokenizer, num_threads)
    return [token for batch in batches for token in batch.tokens.tolist()]


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("size", [1000, 65_536, 10**7])
def test_tokens_do_not_depend_on_threads_or_chunks(bpe, text, num_threads, size):
    long = text * 150

    result = tokens(Cut(long, size), bpe, num_threads)

    assert result == [bpe.end_of_text, *bpe.encode(long)]


def test_end_of_text_stands_before_every_document(bpe):
    pieces = [
        ("train", Piece("The", True)),
        ("train", Piece(" dog", False)),
        ("train", Piece("Ein", True)),
    ]

    (batch,) = encode_pieces(pieces, bpe)

    end = bpe.end_of_text
    assert batch.tokens.tolist() == [
        end,
        *bpe.encode("The"),
        *bpe.encode(" dog"),
        end,
        *bpe.encode("Ein"),
    ]
    assert batch.tokens[batch.document_starts].tolist() == [end, end]
    assert batch.num_bytes == 10


def test_an_error_in_a_thread_reaches_the_caller():
    pieces = [("train", Piece("abx", True))] * 3

    with pytest.raises(Exception, match="'x'"):
        list(encode_pieces(pieces, CharTokenizer("ab"), 2))


def test_a_text_file_can_be_encoded_in_memory(bpe, text, text_file):
    result = encode_file(str(text_file), bpe)

    expected = [bpe.end_of_text, *bpe.encode(text), bpe.end_of_text]
    assert result.window(0, len(result)).tolist() == expected
    assert result.document_starts.tolist() == [0]
    assert list(text_file.parent.iterdir()) == [text_file]


def test_a_jsonl_file_is_encoded_by_document(bpe, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"body": x}) + "\n" for x in ("one", "two")), encoding="utf-8"
    )

    result = encode_file(str(path), bpe, text_field="body")

    end = bpe.end_of_text
    expected = [end, *bpe.encode("one"), end, *bpe.encode("two"), end]
    assert result.window(0, len(result)).tolist() == expected


def test_characters_without_a_token_are_an_error_that_names_the_file(text_file):
    with pytest.raises(DataError, match=r"poem.txt: the text holds characters that are not"):
        encode_file(str(text_file), CharTokenizer("abc"))


def test_a_file_of_a_byte_order_mark_alone_holds_no_text(tmp_path, bpe):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf")

    with pytest.raises(DataError, match=r"a.txt: holds no text, nothing to score"):
        encode_file(str(tmp_path / "a.txt"), bpe)


def test_a_single_token_is_nothing_to_score(tmp_path):
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")

    with pytest.raises(DataError, match=r"a.txt: holds one token, nothing to score"):
        encode_file(str(tmp_path / "a.txt"), CharTokenizer("ab"))
