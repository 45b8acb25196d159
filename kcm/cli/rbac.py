"""`kcm rbac`: the roles that controllers need, as YAML to apply.

Imports the modules that are named: they are the user's own, in the user's own shell. What cannot be
imported, or is no controller, is a `ConfigurationError` that names the place.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

import yaml

from kcm.base.errors import ConfigurationError
from kcm.cli.targets import find_controller, importable
from kcm.runtime.controller import Controller
from kcm.runtime.grants import EVERYTHING, grants_of
from kcm.runtime.roles import roles
from kcm.runtime.soundness import fault_of


def rbac(options: argparse.Namespace) -> int:
    """Print roles and bindings; return the exit code."""
    classes = [controller_of(target) for target in options.controllers]
    print(roles_text(classes, options.name or classes[0].name, options.account, options.namespace), end="")
    return 0


def roles_text(controllers: list[type[Controller[Any, Any]]], name: str, account: str, namespace: str) -> str:
    """Return the YAML of the roles, with a word about controllers that do not say what they write."""
    head = "".join(_warning(each) for each in controllers)
    documents = roles(controllers, name, account, namespace)
    return head + yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True, width=100)


def _warning(controller: type[Controller[Any, Any]]) -> str:
    name = controller.__name__
    if controller.writes is None:
        return f"# {name} has no `writes`: it may do here what its watches imply. Declare it to be exact.\n"
    if any(grant.resource == EVERYTHING for grant in grants_of(controller.writes, controller.watches)):
        return f"# {name} may write objects of every type, and so may this role.\n"
    return ""


def controller_of(target: str) -> type[Controller[Any, Any]]:
    """Return the controller class that a target means: module:Class, a file, or a module with one."""
    module_name, class_name = importable(target)
    if not class_name:
        class_name = find_controller(target).implementation.partition(":")[2]
    try:
        found = getattr(import_module(module_name), class_name, None)
    except Exception as error:
        # A stranger's module may raise anything while it is imported.
        raise ConfigurationError(target, "", f"cannot import {module_name}: {error!r}") from error
    if not (isinstance(found, type) and issubclass(found, Controller)):
        raise ConfigurationError(target, "", f"{class_name} is no class derived from kcm.Controller")
    if fault := fault_of(found):
        raise ConfigurationError(target, "", fault)
    return found
