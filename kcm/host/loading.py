"""From a configured name to a controller object.

Imports "module:Class" and fits the settings of its section into the controller's own Struct.
Guarantees: whatever goes wrong in someone else's module is a `ConfigurationError` that names
the controller, not a traceback. Runs in the host only; the manager never imports controllers.
"""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.base.faults import told
from kcm.config.binding import bind
from kcm.host.messages import ControllerTask
from kcm.runtime.controller import Controller
from kcm.runtime.soundness import fault_of

# Between the implementations of a name that is installed more than once.
TWICE = " and "


def load(task: ControllerTask) -> Controller[Any, Any]:
    """Return the controller of a task, ready to run; ConfigurationError when there is none."""
    where = f"controllers.{task.name}"
    if TWICE in task.implementation:
        both = task.implementation
        reason = f"two packages have a controller of this name, {both}: uninstall one, or name one here"
        raise ConfigurationError(where, "implementation", reason)
    module_name, colon, class_name = task.implementation.partition(":")
    if not colon:
        raise ConfigurationError(where, "", f'{task.implementation!r} is not of the form "module:Class"')
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except BaseException as error:
        # A stranger's module may raise anything while it is imported.
        raise ConfigurationError(where, "", _why_not_imported(task.implementation, error)) from error
    if not (isinstance(found, type) and issubclass(found, Controller)):
        raise ConfigurationError(where, "", f"{task.implementation} is not a kcm.Controller")
    if fault := _fault_of(found):
        raise ConfigurationError(where, "", f"{task.implementation}: {fault}")
    try:
        return found(_settings(found, task, where))
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(where, "", _why_not_made(task.implementation, error)) from error


def _fault_of(found: type[Controller[Any, Any]]) -> str:
    try:
        return fault_of(found)
    except Exception as error:  # noqa: BLE001 - what it declares may be anything
        return f"what it declares cannot be understood: {told(error)}"


def _why_not_imported(implementation: str, error: BaseException) -> str:
    module = implementation.partition(":")[0]
    match error:
        case ModuleNotFoundError(name=str() as missing) if f"{module}.".startswith(f"{missing}."):
            remedy = "install its package where kcm is installed, or put its folder on PYTHONPATH"
        case ModuleNotFoundError(name=str() as missing):
            remedy = f"it needs the module {missing}: install that where kcm is installed"
        case AttributeError():
            remedy = "the module has no such class: see controllers.<name>.implementation"
        case _:
            remedy = f"mend the module; try it with: python -c 'import {module}'"
    return f"cannot import {implementation}: {told(error)}; {remedy}"


def _why_not_made(implementation: str, error: BaseException) -> str:
    remedy = "its __init__ is called with the settings (None without settings_type)"
    return f"{implementation} cannot be made: {told(error)}; {remedy}"


def _settings(found: type[Controller[Any, Any]], task: ControllerTask, where: str) -> Any:
    given = msgspec.json.decode(task.settings)
    if found.settings_type is not None:
        return bind(found.settings_type, given or {}, where, "settings")
    if given:
        raise ConfigurationError(where, "settings", "this controller has no settings: remove the key")
    return None
