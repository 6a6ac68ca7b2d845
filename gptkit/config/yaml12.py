"""YAML with the meaning of YAML 1.2: `1e-3` is a number, `no` a string, a key given twice an error.

PyYAML reads YAML 1.1, where `1e-3` is a string, `no` is false and `12:30` is 750. Only its parser is used
here; the scalars get the core schema of YAML 1.2, for reading and for writing.

Reference: YAML 1.2.2, section 10.3.2 (core schema).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Where a value stands: ("training", "max_steps"), ("loggers", 0, "name")."""

_MAX_NODES = 100_000
_MAX_DIGITS = 40
_OCTAL_LOOKALIKE = "gptkit:leading-zero"
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_KNOWN_TAGS = {_STR, _NULL, _BOOL, _INT, _FLOAT, _OCTAL_LOOKALIKE, *_COLLECTIONS}
_SCALARS = (
    (_NULL, r"~|null|Null|NULL|", ("~", "n", "N", "")),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    (_OCTAL_LOOKALIKE, r"[-+]?0[0-9]+", tuple("-+0")),
    (_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", tuple("-+0123456789")),
    (
        _FLOAT,
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        tuple("-+0123456789."),
    ),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own way)


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the strings that `_Loader` would read as something else."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass
class Document:
    """A YAML text as plain Python values, with the place of each value and the problems found on the way."""

    value: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column, from 1, of each key (of each item in a list)."""
    problems: list[tuple[int, int, str]] = field(default_factory=list)


def read_yaml(text: str) -> Document:
    """Return `text` as a document; what is wrong with it stands in `problems`, in order."""
    document = Document()
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Reader(document).read(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.problems.append((*where, f"not valid YAML: {error.problem or error.context}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        what = f"not valid YAML: the character U+{error.character:04X} is not allowed"
        document.problems.append((line, column, what))
    except RecursionError:
        document.problems.append((1, 1, "not valid YAML: nested too deeply"))
    finally:
        if loader is not None:
            loader.dispose()
    return document


def write_yaml(value: Any) -> str:
    """Return `value` as YAML text that `read_yaml` reads back to the same value."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def write_scalar(value: Any) -> str:
    """Return `value` as YAML on one line."""
    text = yaml.dump(
        value, Dumper=_Dumper, allow_unicode=True, default_flow_style=True, width=10**6
    )
    return text.removesuffix("...\n").strip()


class _Reader:
    """Turns nodes into values, noting places and problems."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.num_nodes = 0
        self.ancestors: set[int] = set()

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.num_nodes += 1
        if self.num_nodes > _MAX_NODES or id(node) in self.ancestors:
            # Aliases can make a short text stand for billions of values, or contain itself.
            if self.num_nodes == _MAX_NODES + 1 or id(node) in self.ancestors:
                self._problem(node, "not valid here: the aliases unfold to too many values")
            return None
        self.document.places.setdefault(path, _place(node))
        self.ancestors.add(id(node))
        try:
            if node.tag not in _KNOWN_TAGS:
                self._problem(node, f"the tag {node.tag} is not allowed")
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self.ancestors.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, "a key must be a plain word")
                continue
            key = key_node.value
            if key in mapping:
                self._problem(key_node, f"{'.'.join(map(str, (*path, key)))}: given twice")
                continue
            self.document.places[(*path, key)] = _place(key_node)
            mapping[key] = self.read(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _INT:
            return self._number(node, lambda digits: int(digits, 0), text)
        if node.tag == _FLOAT:
            return self._number(node, float, re.sub(r"\.(?=[in])", "", text.lower()))
        if node.tag == _OCTAL_LOOKALIKE:
            plain = text.lstrip("+-").lstrip("0") or "0"
            self._problem(node, f"{text}: a leading zero is ambiguous; write {plain} or 0o{plain}")
        return text

    def _number(self, node: yaml.Node, read: Callable[[str], float], text: str) -> float:
        try:
            if len(text) <= _MAX_DIGITS:
                return read(text)
        except ValueError:
            pass  # a tag such as !!int on a word
        self._problem(node, f"not a number: {text[:_MAX_DIGITS]}")
        return 0

    def _problem(self, node: yaml.Node, what: str) -> None:
        self.document.problems.append((*_place(node), what))


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
