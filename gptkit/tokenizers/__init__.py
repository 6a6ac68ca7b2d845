"""Text to token ids and back.

    char.py         a token per character
    bpe.py          byte-level BPE, encoded by tiktoken; published.py: tiktoken's encodings by name
    training        patterns.py cuts text into words, counting.py counts them in the processes of
                    counting_worker.py, merges.py learns from the counts
    pieces.py       long text cut at safe places
    store.py        tokenizer.json

Imports nothing here: the counting processes import this package and must start in a moment.
"""
