"""What is wrong in a configuration, as one sentence that names the key and the remedy."""

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from manyexits.files.printable import printable
from manyexits.study.components import nearest, shown


class StudyError(ValueError):
    """What is wrong in a configuration, as one sentence that names the key and the remedy, whatever the key holds."""

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def with_key(key: str, function: Any, *arguments: Any) -> Any:
    """Call a check; what it finds is reported under `key`."""
    try:
        return function(*arguments)
    except ValidationError as error:
        raise ValueError(explain(error, None, key)) from error
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def known(key: str, name: str, valid: list[str]) -> None:
    """Refuse a name that is not among the valid ones.

    Raises:
        StudyError: names the key and lists the valid names, the nearest first.
    """
    if name not in valid:
        raise StudyError(f"{key}: there is no {shown(name)}; valid names: {nearest(name, valid)}")


def explain(error: ValidationError, model: type[BaseModel] | None, prefix: str = "") -> str:
    """The first error of pydantic as one sentence with the full key."""
    first = error.errors()[0]
    path = [as_key(part) for part in first["loc"] if part != "[key]"]
    key = ".".join([prefix, *path] if prefix else path)
    if first["type"] == "extra_forbidden":
        owner = _owner(model, path[:-1]) if model else None
        valid = f"; valid keys: {nearest(path[-1], list(owner.model_fields))}" if owner else ""
        return f"{key}: unknown key{valid}"
    message = re.sub(r"^Value error, ", "", first["msg"])
    if first["type"] == "missing":
        return f"{key}: this key is missing"
    given = "" if first["type"] == "value_error" else f" (got {shown(first['input'])})"
    return f"{key}: {message}{given}" if key else f"{message}{given}"


def as_key(key: Any) -> str:
    """A key on the way to what is wrong, as it is written unless a terminal would act upon it."""
    return str(key) if str(key).isprintable() else shown(key)


def _owner(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The model that stands at a path such as experiments.NAME."""
    for part in path:
        field = model.model_fields.get(part)
        if field is None:
            continue  # a name inside a mapping of entries
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if inner is None:
            return None
        model = inner
    return model
