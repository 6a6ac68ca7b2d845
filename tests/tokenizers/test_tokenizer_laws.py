"""What holds for every tokenizer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gptkit.errors import DataError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import load_tokenizer, save_tokenizer, tokenizer_sha256


def test_decoding_undoes_encoding(tokenizer: Tokenizer, fuzz_texts: list[str]) -> None:
    decoded = [tokenizer.decode(tokenizer.encode(text)) for text in fuzz_texts]

    assert decoded == fuzz_texts


def test_empty_text_has_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode_array("").shape == (0,)


def test_array_holds_the_ids_of_encode(tokenizer: Tokenizer, fuzz_texts: list[str]) -> None:
    text = "".join(fuzz_texts)

    array = tokenizer.encode_array(text)

    assert array.dtype in (np.uint16, np.uint32)
    assert array.tolist() == tokenizer.encode(text)


def test_ids_lie_in_the_vocabulary(tokenizer: Tokenizer, fuzz_texts: list[str]) -> None:
    ids = tokenizer.encode_array("".join(fuzz_texts))

    assert ids.max() < tokenizer.vocab_size


def test_token_bytes_add_up_to_the_length_in_utf8(
    tokenizer: Tokenizer, fuzz_texts: list[str]
) -> None:
    text = "".join(fuzz_texts)
    token_bytes = tokenizer.token_bytes()

    num_bytes = token_bytes[tokenizer.encode_array(text)].sum()

    assert token_bytes.shape == (tokenizer.vocab_size,)
    assert token_bytes.dtype == np.int64
    assert num_bytes == len(text.encode())


def test_bytes_of_single_tokens_join_to_the_bytes_of_the_text(tokenizer: Tokenizer) -> None:
    text = "a🙂b"[: 3 if tokenizer.kind == "bpe" else 1]

    ids = tokenizer.encode(text)

    assert b"".join(tokenizer.decode_bytes([token]) for token in ids) == text.encode()


@pytest.mark.parametrize("past_the_end", [0, 1, 10**6, 10**30])
def test_id_past_the_vocabulary_is_named(tokenizer: Tokenizer, past_the_end: int) -> None:
    token = tokenizer.vocab_size + past_the_end

    with pytest.raises(DataError, match=rf"token id {token} is outside .* 0 to"):
        tokenizer.decode([0, token])


def test_negative_id_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="token id -1 is outside"):
        tokenizer.decode_bytes([-1])


def test_saved_tokenizer_loads_with_the_same_ids(
    tokenizer: Tokenizer, fuzz_texts: list[str], tmp_path: Path
) -> None:
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")

    loaded = load_tokenizer(tmp_path / "tokenizer.json")

    assert [loaded.encode(text) for text in fuzz_texts] == [
        tokenizer.encode(text) for text in fuzz_texts
    ]
    assert loaded.end_of_text == tokenizer.end_of_text
    assert tokenizer_sha256(loaded) == tokenizer_sha256(tokenizer)


def test_threads_encode_the_same_ids(tokenizer: Tokenizer, fuzz_texts: list[str]) -> None:
    with ThreadPoolExecutor(4) as threads:
        arrays = list(threads.map(tokenizer.encode_array, fuzz_texts))

    assert [array.tolist() for array in arrays] == [tokenizer.encode(text) for text in fuzz_texts]
