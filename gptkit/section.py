"""Settings: the frozen `Section` that every group of settings is, and `Choices`, the open table of a room's variants.

Nothing here, and no `config.py` of any room, imports torch: checking a config must stay instant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
)
from pydantic_core import PydanticCustomError, core_schema


class Section(BaseModel):
    """A frozen group of settings; unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=False,
    )


def number(value: object) -> object:
    # pydantic alone would read "0.1" and true as numbers, and hide a config's typing mistakes.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number_type", "must be a number")
    return value


def _usable_path(path: str | Path) -> str | Path:
    # What no file system takes would surface as an error of the system, far from the config.
    text = str(path)
    if "\0" in text or any(len(os.fsencode(part)) > _LONGEST_NAME for part in Path(text).parts):
        raise PydanticCustomError("path", "must be a path that a file can have")
    return path


_LONGEST_NAME = 255
FilePath = Annotated[Path, AfterValidator(_usable_path)]
PathText = Annotated[str, Field(min_length=1), AfterValidator(_usable_path)]
"""A path as the user wrote it: patterns and folders count too."""

PositiveInt = Annotated[int, BeforeValidator(number), Field(gt=0)]
NonNegativeInt = Annotated[int, BeforeValidator(number), Field(ge=0)]
PositiveFloat = Annotated[float, BeforeValidator(number), Field(gt=0)]
NonNegativeFloat = Annotated[float, BeforeValidator(number), Field(ge=0)]
Fraction = Annotated[float, BeforeValidator(number), Field(ge=0, le=1)]
Probability = Annotated[float, BeforeValidator(number), Field(ge=0, lt=1)]
Flag = Annotated[bool, Field(strict=True)]

Builder = Callable[..., Any]


class Choices:
    """The variants of one room: by `name`, a section class and what builds the living object from it.

    A builder is a callable or, so that settings need no torch, its address "package.module:attribute".
    Annotate a field with the table to accept any of its variants: `attention: Annotated[Section, ATTENTIONS]`.
    A plugin adds variants with `gptkit.plugins.register`.
    """

    def __init__(
        self, room: str, variants: Mapping[Any, str | Builder | None], *, default: str
    ) -> None:
        self.room = room
        self.default = default
        self._sections: dict[str, type[Section]] = {}
        self._builders: dict[type[Section], str | Builder | None] = {}
        for section, builder in variants.items():
            self.add(section, builder)

    def add(self, section: type[Section], builder: str | Builder | None) -> None:
        """Add a variant, or replace the one of the same name (a plugin file that is loaded again)."""
        self._sections[section_name(section)] = section
        self._builders[section] = builder

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections)

    def __getitem__(self, name: str) -> type[Section]:
        return self._sections[name]

    def __contains__(self, name: object) -> bool:
        return name in self._sections

    def build(self, section: Section, *args: Any, **kwargs: Any) -> Any:
        """Return the living object of `section`."""
        builder = self._builders[type(section)]
        assert builder is not None, f"the {self.room} '{section_name(type(section))}' is not built"
        if isinstance(builder, str):
            module, _, attribute = builder.partition(":")
            builder = getattr(import_module(module), attribute)
            assert callable(builder)
        return builder(section, *args, **kwargs)

    def validate(self, value: object) -> Section:
        """Return the section that a mapping describes; a mapping without `name` is the default variant.

        Raises: PydanticCustomError, of type "nested" with all inner problems where there are several.
        """
        if isinstance(value, Section):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "mapping_type",
                "must be a mapping such as {{name: {default}}}",
                {"default": self.default},
            )
        name = value.get("name", self.default)
        known = self._known(name)
        if known is None:
            inner = {
                "type": "choice",
                "loc": ("name",),
                "input": name,
                "ctx": {"allowed": list(self)},
            }
            raise PydanticCustomError("nested", "nested", {"errors": [inner]})
        try:
            return self._sections[known].model_validate({**value, "name": known})
        except ValidationError as error:
            raise PydanticCustomError("nested", "nested", {"errors": error.errors()}) from None

    def _known(self, name: object) -> str | None:
        """Return the variant's own spelling of `name`: torch's SGD is our sgd."""
        if not isinstance(name, str):
            return None
        return (
            name
            if name in self._sections
            else next(
                (known for known in self._sections if known.casefold() == name.casefold()), None
            )
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda section: section.model_dump(mode="json")
            ),
        )


def section_name(section: type[Section]) -> str:
    """Return the `name` that picks this section class."""
    name = section.model_fields["name"].default
    assert isinstance(name, str), f"{section.__name__} needs a field name: Literal['...'] = '...'"
    return name


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` on top, section by section.

    Where `over` changes a section's `name`, nothing of `base` is kept in that section: the keys of one
    variant mean nothing to another. {name: wsd, decay: 0.6} under {name: cosine} gives {name: cosine}.
    """
    if "name" in over and "name" in base and over["name"] != base["name"]:
        return dict(over)
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge_settings(below, value)
        else:
            merged[key] = value
    return merged
