"""Conversations on their way to tokens: whole, with the answers marked.

What the source gives is JSON text (sources/chat.py), so that reading, counting and dividing are those
of any text. Only here it becomes conversations again; those of a pair follow one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gptkit.chat.encoding import ChatEncoder, EncodedConversation
from gptkit.chat.template import CHATML, CHATML_TOKENS
from gptkit.data.encoding import EncodedBatch
from gptkit.data.pieces import Piece
from gptkit.data.shards import token_dtype
from gptkit.data.sources.chat import ConversationsConfig
from gptkit.data.splits import SPLITS
from gptkit.errors import ConfigError, DataError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer

_BATCH_TOKENS = 1 << 17


def said_texts(
    pieces: Iterable[tuple[str, Piece]], split: str, source: ConversationsConfig
) -> Iterator[str]:
    """Yield what is said in the conversations of a split, for a tokenizer to learn from."""
    for name, _, document in whole_documents(pieces):
        if name == split:
            for conversation, _ in source.lessons(document):
                yield from (message["content"] for message in conversation)


def chat_tokenizer(tokenizer: Tokenizer, source: ConversationsConfig) -> BPETokenizer:
    """Return the tokenizer with a chat template: the source's, its own, or ChatML.

    Raises: ConfigError for a tokenizer that cannot have special tokens.
    """
    if not isinstance(tokenizer, BPETokenizer):
        raise ConfigError(
            f"data.tokenizer: a {tokenizer.kind} tokenizer has no room for special tokens, which conversations"
            " need; train the first model with data.tokenizer: {name: bpe} (or tiktoken)"
        )
    template = source.template_text()
    if template is not None:
        return tokenizer.with_chat(template, source.special_tokens)
    if tokenizer.chat is not None:
        return tokenizer.with_chat(tokenizer.chat.template, source.special_tokens)
    return tokenizer.with_chat(CHATML, (*CHATML_TOKENS, *source.special_tokens))


def encode_conversations(
    assigned: Iterable[tuple[str, Piece]], tokenizer: Tokenizer, source: ConversationsConfig
) -> Iterator[EncodedBatch]:
    """Yield the tokens of all conversations, in their order within each split.

    Raises: DataError that names file and line of one that the template refuses.
    """
    encoder = ChatEncoder(tokenizer)
    waiting: dict[str, list[tuple[EncodedConversation, int]]] = {}
    num_tokens = dict.fromkeys(SPLITS, 0)
    for split, number, document in whole_documents(assigned):
        for conversation, learned_from in source.lessons(document):
            try:
                encoded = encoder.encode(conversation, learned_from=learned_from)
            except DataError as error:
                raise DataError(f"{source.place_of(number)}: {error}") from error
            num_bytes = sum(len(message["content"].encode()) for message in conversation)
            waiting.setdefault(split, []).append((encoded, num_bytes))
            num_tokens[split] += len(encoded.tokens)
        if num_tokens[split] >= _BATCH_TOKENS:
            num_tokens[split] = 0
            yield _batch(split, waiting.pop(split), tokenizer)
    for split, conversations in waiting.items():
        yield _batch(split, conversations, tokenizer)


def whole_documents(
    assigned: Iterable[tuple[str, Piece]],
) -> Iterator[tuple[str, int, str]]:
    """Yield split, number and text of each document, put together from its pieces."""
    parts: list[str] = []
    split, number = "", -1
    for name, piece in assigned:
        if piece.starts_document:
            if parts:
                yield split, number, "".join(parts)
            split, number, parts = name, number + 1, []
        parts.append(piece.text)
    if parts:
        yield split, number, "".join(parts)


def _batch(
    split: str, conversations: list[tuple[EncodedConversation, int]], tokenizer: Tokenizer
) -> EncodedBatch:
    lengths = [len(encoded.tokens) for encoded, _ in conversations]
    tokens = [token for encoded, _ in conversations for token in encoded.tokens]
    targets = [target for encoded, _ in conversations for target in encoded.targets]
    return EncodedBatch(
        split,
        np.array(tokens, token_dtype(tokenizer.vocab_size)),
        np.cumsum([0, *lengths[:-1]], dtype=np.int64),
        sum(num_bytes for _, num_bytes in conversations),
        np.array(targets, np.bool_),
    )
