"""Models and tokenizers in the files of other programs, and back.

    architectures.py   which stock class holds which settings, or what forbids it
    parameters.py      the names and the layout of its weights
    tokenizer_json.py  tokenizers as Hugging Face writes them
    hf.py              a folder for transformers, written and read
    proof.py           what was compared, and how far apart it was

Nothing written here needs code of ours to be read: no remote code, only stock classes.
"""
