"""What a proof is made on: token ids that reach the whole vocabulary, and texts of many kinds."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.char import CharTokenizer

_TEXTS = (
    "",
    " ",
    "The quick brown fox, 3 o'clock; it's DON'T 12345.678!",
    "def f(x):\n    return x ** 2\n\n\nclass A:\n\tpass\r\n",
    "  two  spaces\t\ttabs \n \n\n  mixed   ",
    "汉字和标点,还有空格。 日本語のテキスト 한국어",
    "Größe naïve e\u0301 Ünïcödé — “quotes” … ﬁ",
    "🙂👩\u200d🚀🏳\ufe0f\u200d🌈 🇫🇷 \u200b\u3000\xa0x",
    "<|endoftext|>",
    "before <|endoftext|> after <|im_start|>user",
    "https://example.org/?q=1&r=%20#x  [unused3] <s> </s> [UNK]",
    "\x00\x01\x7f\u2028 Привет, мир! שלום مرحبا ١٢٣ Ⅷ½",
)


def probe_tokens(vocab_size: int, context_length: int, *, rows: int = 4, seed: int = 0) -> Tensor:
    """Return (rows, T) random ids of the whole vocabulary, T at most 128."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, min(context_length, 128))
    return torch.randint(vocab_size, shape, generator=generator)


def probe_texts(tokenizer: Tokenizer, *, count: int = 200, seed: int = 0) -> list[str]:
    """Return texts that the tokenizer can encode: set ones, and random runs of its own tokens."""
    generator = random.Random(seed)
    known = set(tokenizer.characters) if isinstance(tokenizer, CharTokenizer) else None
    texts = ["".join(c for c in text if known is None or c in known) for text in _TEXTS]
    special = getattr(tokenizer, "special_tokens", {})
    texts += [f"a{name} {name}\n{name}" for name in list(special)[:10]]
    while len(texts) < count:
        length = generator.randint(1, 40)
        texts.append(tokenizer.decode(generator.choices(range(tokenizer.vocab_size), k=length)))
    return texts
