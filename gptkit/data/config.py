"""Settings of the data: where text comes from, how it is cut into tokens and splits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from gptkit.data.sources import SOURCES, ConversationsConfig, TokensConfig
from gptkit.section import Probability, Section
from gptkit.tokenizers.config import TOKENIZERS, BPEConfig


class DataConfig(Section):
    """From text to tokens."""

    source: Annotated[Section, SOURCES]
    tokenizer: Annotated[Section, TOKENIZERS] = BPEConfig()
    val_fraction: Probability = 0.1
    """Share held out for validation: the tail of one text; by document where there are many."""
    test_fraction: Probability = 0.0
    """Share held out and never looked at in training; comes after the validation part."""
    documents: Literal["concatenate", "mask"] = "concatenate"
    """concatenate: windows run across documents; mask: no attention from one to another."""
    on_bad_utf8: Literal["error", "replace"] = "error"
    """Bytes that are not UTF-8: stop and say where, or put U+FFFD and count them."""

    @property
    def keeps_documents_apart(self) -> bool:
        """Whether no token attends to another document's; between conversations none ever does."""
        return self.documents == "mask" or isinstance(self.source, ConversationsConfig)

    @model_validator(mode="after")
    def _fits_together(self) -> DataConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction leave nothing to train on")
        if isinstance(self.source, TokensConfig) and "tokenizer" in self.model_fields_set:
            raise ValueError("source 'tokens' brings its own tokenizer; remove the key tokenizer")
        return self
