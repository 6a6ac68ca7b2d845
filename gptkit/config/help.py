"""The help of a setting: the string that stands under its field."""

from __future__ import annotations

import ast
import inspect
import textwrap

from gptkit.section import Section


def setting_help(section: type[Section]) -> dict[str, str]:
    """Return the help of each key of a section class, on one line; keys without help are left out.

    It is read from the source when asked for, not at import, where it would slow every command down.
    """
    texts: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if issubclass(base, Section) and base is not Section:
            texts.update(_documented_fields(base))
    return {key: text for key, text in texts.items() if key in section.model_fields}


def _documented_fields(section: type[Section]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    except (OSError, TypeError, SyntaxError):
        return {}  # made at run time: a torch.optim class, a plugin in a notebook
    found = {}
    definition = tree.body[0]
    if not isinstance(definition, ast.ClassDef):
        return {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = " ".join(text.value.value.split())
    return found
