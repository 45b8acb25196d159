"""`kcm crd`: the CustomResourceDefinitions of declared types, as YAML to apply.

Imports the module that is named: it is the user's own, in the user's own shell. What cannot be
imported or described is a `ConfigurationError` that names the place.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import yaml

from kcm.base.errors import ConfigurationError
from kcm.cli.targets import importable
from kcm.objects.definitions import definition_of
from kcm.objects.resource import Resource
from kcm.objects.schemas import Schema, SchemaError


def crd(options: argparse.Namespace) -> int:
    """Print the definitions; return the exit code."""
    for target in options.types:
        for definition in definitions_of(target):
            print("---")
            print(yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=100), end="")
    return 0


def definitions_of(target: str) -> Iterator[Schema]:
    """Yield the definition of each type that a target means: one class, or all that a module declares."""
    module_name, class_name = importable(target)
    try:
        module = import_module(module_name)
    except Exception as error:
        # A stranger's module may raise anything while it is imported.
        raise ConfigurationError(target, "", f"cannot import {module_name}: {error!r}") from error
    for type_ in _types_of(module, class_name, target):
        try:
            yield definition_of(type_)
        except SchemaError as error:
            raise ConfigurationError(target, "", str(error)) from error


def _types_of(module: ModuleType, name: str, target: str) -> list[type[Resource[Any]]]:
    if not name:
        declared = [each for each in vars(module).values() if _is_custom(each, module.__name__)]
        if not declared:
            raise ConfigurationError(target, "", "declares no class derived from kcm.objects.Resource")
        return declared
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, Resource)):
        reason = "is not" if found is not None else "does not exist: expected"
        raise ConfigurationError(target, "", f"{name} {reason} a class derived from kcm.objects.Resource")
    return [found]


def _is_custom(value: object, module: str) -> bool:
    """Say whether a name of a module is a custom resource of its own; groups of built-ins have no dot."""
    if not (isinstance(value, type) and issubclass(value, Resource) and value.__module__ == module):
        return False
    return "." in value.resource_type().group
