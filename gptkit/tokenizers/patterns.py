"""Split patterns: how text is cut into words before merging. A merge never crosses a cut.

The text is that of Hugging Face's tokenizer files and of llama.cpp's pre-tokenizers, so that an
exported vocabulary cuts alike there. It stays in the greedy spelling: Oniguruma (Hugging Face)
reads the possessive `{1,3}+` of tiktoken's own cl100k pattern as something else, and the possessive
spellings are no faster here (measured with tiktoken 0.14: 20 MB/s greedy, 15 MB/s possessive).
"""

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""Contractions, words with the sign before them, digits in threes, signs, line ends, space."""

QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
"""As llama3, but every digit alone."""

GPT2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d"
    r"| ?\p{L}+"
    r"| ?\p{N}+"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""Contractions in lower case, words, numbers and signs with the space before them, other space."""

GPT2_DIGITS = GPT2.replace(r"| ?\p{N}+", r"|\p{N}").replace(r"\s+(?!\S)", r"\s+(?![^\s\p{N}])")
"""As gpt2 on the text between digits, every digit alone: SmolLM's. Not to choose; imports have it."""

PATTERNS = {"llama3": LLAMA3, "gpt2": GPT2, "qwen2": QWEN2}
