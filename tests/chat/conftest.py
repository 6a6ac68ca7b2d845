"""A tokenizer that chats, made in a moment."""

import pytest

from gptkit.chat.template import CHATML, CHATML_TOKENS
from gptkit.tokenizers.bpe import train
from gptkit.tokenizers.config import BPEConfig

TEXT = "the user asks, the assistant says hello and 你好 to all of them; " * 20


@pytest.fixture(scope="session")
def plain():
    section = BPEConfig(vocab_size=300, pattern="gpt2")
    return train(section, lambda: [TEXT], total_bytes=len(TEXT.encode()), progress=lambda n: None)


@pytest.fixture(scope="session")
def chatty(plain):
    return plain.with_chat(CHATML, CHATML_TOKENS)
