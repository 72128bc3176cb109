"""Configuration files as people write them: UTF-8, YAML, each key once, no deeper than anything here needs."""

from pathlib import Path
from typing import Any

import yaml

from manyexits.study.refusals import StudyError

DEEPEST = 30
"""Levels of lists and mappings within one another."""


MOST = 10**6
"""Values in all, those behind an anchor counted wherever it stands."""
AS_WRITTEN = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""Keys that are the text that they are written as."""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # a base chosen at run time
    """PyYAML's safe loader, which keeps the last of equal keys, made to refuse them.

    The one in C, where it is there, saves a tenth of the time that the study takes to load.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ, also where they are written differently, as 1, 0x1 and true are."""
        first: dict[Any, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                name = key.value if key.tag in AS_WRITTEN else self.construct_object(key)
                if name in first:
                    raise StudyError(f"{key.value} stands twice (lines {first[name]} and {line}); keep one of them")
                first[name] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def load(path: Path) -> dict[str, Any]:
    """One configuration file.

    Raises:
        StudyError: names the file, and the line where that is known.
    """
    try:
        content = yaml.load(path.read_bytes().decode("utf-8-sig"), Loader=Loader)
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; name an existing configuration file") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise StudyError(f"{path} is no UTF-8 (line {line}); save it in this encoding") from error
    except (yaml.YAMLError, ValueError) as error:  # a date or number that cannot be is a ValueError
        if isinstance(error, StudyError):
            raise StudyError(f"{path}: {error}") from error
        raise StudyError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise StudyError(f"{path} {_TOO_DEEP}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} must hold a mapping of keys at its top level")
    levels, values = _extent(content, {}, ())
    if levels > DEEPEST:
        raise StudyError(f"{path} {_TOO_DEEP}")
    if values > MOST:
        raise StudyError(f"{path} holds {values:,} values with what its anchors repeat, and {MOST:,} are enough")
    return content


_TOO_DEEP = f"nests its keys more than {DEEPEST} levels deep, or one of them within itself; write it flat"


def _extent(value: Any, known: dict[int, tuple[int, int]], above: tuple[int, ...]) -> tuple[int, int]:
    """Levels and number of values; more levels than the deepest where it holds itself.

    An anchor that stands often is looked at once.
    """
    if not isinstance(value, dict | list):
        return 0, 1
    if id(value) in above or len(above) > DEEPEST:
        return DEEPEST + 1, 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        found = [_extent(each, known, (*above, id(value))) for each in inner]
        known[id(value)] = 1 + max((levels for levels, _ in found), default=0), 1 + sum(count for _, count in found)
    return known[id(value)]
