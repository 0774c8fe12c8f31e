"""YAML as configurations use it: plain values without aliases, each key once, every fault named by its line."""

import os
from typing import Any

import yaml

from omni_asr.errors import UserError
from omni_asr.read_files import read_text, shortened

DEEPEST = 32
"""Levels of nesting. A configuration has 3; PyYAML's recursion would end in a traceback at some 300."""


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which drops the first of two equal keys, fails on some values and follows every alias."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases, a few of which can stand for any amount of values, and deep nesting."""
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias (*name) is not read; write the value out", problem_mark=mark)
        if self.depth == DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {DEEPEST} levels", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Turn what PyYAML's own constructors raise for a value such as ``2024-99-99`` into an error with its place."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()  # an escape can make half a surrogate pair, which no file takes
            return value
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError):
            kind = node.tag.rpartition(":")[2]
            value = f" {shortened(node.value)}" if isinstance(node, yaml.ScalarNode) else ""
            problem = f"the value{value} cannot be read as {kind}; quote it where text is meant"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is there twice."""
        if isinstance(node, yaml.MappingNode):
            self._refuse_repeated(node)
        return super().construct_mapping(node, deep)

    def _refuse_repeated(self, node: yaml.MappingNode) -> None:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            key = self.construct_object(key_node, deep=True)
            if key in lines:
                problem = f"{shortened(key)} is given a second time, first in line {lines[key]}; join the two"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            lines[key] = key_node.start_mark.line + 1


def parse_yaml(text: str) -> Any:
    """The value of a text; None where it is empty.

    Raises:
        yaml.YAMLError: see :func:`read_yaml`.
    """
    loader = StrictLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The value of a file; None where it is empty.

    Raises:
        UserError: the file is missing, is not YAML in UTF-8, has a key twice or an alias, is nested too deep, or has a
            value that its type does not allow; named as ``file:line``.
    """
    try:
        return parse_yaml(read_text(path, "name another file"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not valid YAML: {yaml_reason(error)}") from None


def yaml_reason(error: yaml.YAMLError) -> str:
    """The reason of an error in one line, without the excerpt that PyYAML adds."""
    if isinstance(error, yaml.MarkedYAMLError):
        return ", ".join(part for part in (error.context, error.problem) if part)
    return " ".join(str(error).split())
