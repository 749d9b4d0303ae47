"""Settings from a TOML file and back: defaults < file < environment < flags.

A file has a table for each command, and in it the command's own words: `[train]` with `dataset`,
`epochs`, `batch_size` and so on, as `glassgrad train --help` names them. What may stand there is read
off the options that click knows, so an option that is added to a command is in files, too. A run's
`config.toml` is such a file; the rest of it is the record of the run, and is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from glassgrad.errors import (
    ConfigError,
    GlassgradError,
    UsageError,
    did_you_mean,
    shown,
    told,
)

# Those that say what train would do read train's settings.
_TABLES = {"source": "train", "check-resume": "train", "diagnose": "train"}
CONFIG_FILE = "config.toml"  # of a run
_FROM = "glassgrad.settings_from"
_NOT_SETTINGS = ("out", "as_json")  # where results go is said each time
_SAVE = "glassgrad.save_config"
_Source = click.core.ParameterSource


class Place(click.Path):
    """A file's or folder's name; a zero byte is refused here, where click would fall over it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "\0" in str(value):
            raise ConfigError(
                "not a file's name",
                where=max(param.opts, key=len) if param is not None else "",
                expected="a name without zero bytes",
                received=shown(value),
            )
        return super().convert(value, param, ctx)


def _load(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    if file is not None:
        settings_from(file, context, "--config")


def settings_from(file: Path, context: click.Context, flag: str) -> None:
    """Put a file's settings in the place of defaults. Raises ConfigError where another flag did."""
    before = context.meta.setdefault(_FROM, flag)
    if before != flag:
        raise ConfigError(
            "settings come from two places",
            expected="one of --config and --resume: a run has its own settings",
            received=f"{before} and {flag}",
        )
    context.default_map = read_config(file, context)


def _save_later(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    if file is not None:
        check_new(file)
        context.meta[_SAVE] = file


CONFIG = click.option(
    "--config",
    type=Place(),
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_load,
    help="Settings from a TOML file, such as a run's config.toml; flags go first.",
)
SAVE_CONFIG = click.option(
    "--save-config",
    type=Place(),
    metavar="FILE",
    expose_value=False,
    callback=_save_later,
    help="Write every setting in effect to a new TOML file, for --config.",
)


def read_config(file: Path, context: click.Context) -> dict[str, Any]:
    """The command's settings in a file, by parameter, as texts that its options then read.

    Raises FormatError where the file is no TOML, ConfigError, with file and key, for a key or a
    value that the command does not know.
    """
    from glassgrad.files.toml import read_toml

    where = told(file)
    tables = read_toml(file)
    group = context.parent.command if context.parent is not None else None
    commands = dict(group.commands) if isinstance(group, click.Group) else {}
    asked = _TABLES.get(context.command.name or "", context.command.name or "")
    if "engine" not in tables:  # a run's own file has a record beside its settings
        _check_tables(tables, commands, asked, where)
    found = tables.get(asked, {})
    if not isinstance(found, Mapping) or (asked not in tables and "engine" in tables):
        raise ConfigError(
            f"there is no table [{asked}] in the settings",
            where=where,
            expected=f"[{asked}] and below it the settings of `glassgrad {asked}`",
            received=shown(list(tables), 200),
        )
    known = _settings(commands.get(asked, context.command))
    here = {p.name for p in context.command.params}
    out: dict[str, Any] = {}
    for key, value in found.items():
        place = f"{where}, [{asked}] {shown(key)[1:-1]}"
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigError(
                "unknown setting",
                where=place,
                expected="one of " + ", ".join(known),
                received=shown(key),
                hint=did_you_mean(name, known),
            )
        parameter = known[name]
        if parameter.name in out:
            raise ConfigError(
                "a setting is there twice",
                where=place,
                expected=f"{name} once",
                received=shown(key),
            )
        text = _checked(parameter, value, place, context)
        if parameter.name in here:
            out[str(parameter.name)] = text
    return out


def _check_tables(
    tables: Mapping[str, Any], commands: Mapping[str, Any], asked: str, where: str
) -> None:
    """Every entry of a file that a person wrote is a command's table."""
    for name, value in tables.items():
        if name in commands and isinstance(value, dict):
            continue
        loose = not isinstance(value, dict)
        raise ConfigError(
            "a setting stands outside of a table" if loose else "unknown table",
            where=f"{where}, {shown(name)[1:-1]}",
            expected="tables named after commands: " + ", ".join(f"[{c}]" for c in commands),
            received=f"{shown(name)} at the top" if loose else f"[{shown(name)[1:-1]}]",
            hint=f"a line [{asked}] above it" if loose else did_you_mean(name, commands),
        )


def _settings(command: click.Command) -> dict[str, click.Parameter]:
    """What may be set in a file, by the flag's own word."""
    found = {}
    for parameter in command.params:
        if not parameter.expose_value or parameter.name in _NOT_SETTINGS:
            continue
        word = max(parameter.opts, key=len).lstrip("-").replace("-", "_")
        found[word] = parameter
    return found


def _checked(parameter: click.Parameter, value: Any, place: str, context: click.Context) -> Any:
    """A value as the text its option takes, after the option itself has read it."""
    many = parameter.nargs != 1 or getattr(parameter, "multiple", False)
    if many and not isinstance(value, list):
        raise _wrong_kind(place, 'a list, such as ["a", "b"]', value)
    text: Any = (
        [_as_text(parameter, v, place) for v in value]
        if many
        else _as_text(parameter, value, place)
    )
    try:
        parameter.type_cast_value(context, text)
    except GlassgradError as error:
        error.where, error.received = place, shown(value)
        raise
    except click.UsageError as error:
        raise ConfigError(
            "a setting is out of range",
            where=place,
            expected=error.format_message(),
            received=shown(value),
        ) from None
    return text


def _as_text(parameter: click.Parameter, value: Any, place: str) -> Any:
    kind = parameter.type
    if getattr(parameter, "is_flag", False) or isinstance(kind, click.types.BoolParamType):
        if not isinstance(value, bool):
            raise _wrong_kind(place, "true or false", value)
        return value
    if isinstance(kind, click.types.StringParamType | click.Path | click.File | click.Choice):
        if not isinstance(value, str):
            raise _wrong_kind(place, "a text in quotes", value)
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong_kind(place, "a number", value)
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return value  # a word the option may know, such as all
        raise _wrong_kind(place, "a number without quotes", value)
    return repr(value)


def _wrong_kind(place: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(
        "a setting of the wrong kind", where=place, expected=expected, received=shown(value)
    )


def flags_first(given: dict[str, Any]) -> dict[str, Any]:
    """The options of the present command; a flag sets aside what the file has in its place."""
    context = click.get_current_context()
    for one, other in (("layers", "model"), ("model", "layers")):
        by_flag = context.get_parameter_source(one) is _Source.COMMANDLINE
        if by_flag and context.get_parameter_source(other) is _Source.DEFAULT_MAP:
            given[other] = context.params[other] = None
    return given


# ----------------------------------------------------------------------------------------- writing


def in_effect(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The settings of a run, under its command's name, for its `config.toml`.

    `words` is the whole command with nothing left to defaults; what the user gave beside it is kept.
    Also writes them to the file that --save-config names. Raises UsageError where it cannot.
    """
    from glassgrad.cli.app import command
    from glassgrad.files.atomic import write_atomically
    from glassgrad.files.toml import write_toml

    name = words[1]
    own = command.commands[name]
    now = click.get_current_context(silent=True)
    contexts = [own.make_context(name, list(words[2:]))]
    if now is not None and now.command is own:
        contexts.append(now)
    found: dict[str, Any] = {}
    for word, parameter in _settings(own).items():
        for context in contexts:
            source = context.get_parameter_source(parameter.name or "")
            value = context.params.get(parameter.name or "")
            said = source in (_Source.COMMANDLINE, _Source.DEFAULT_MAP)
            if said and value is not None and value != ():
                found[word] = _plain(value)
                break
    table = {name: found}
    file = now.meta.get(_SAVE) if now is not None else None
    if file is not None:
        check_new(file)
        write_atomically(file, write_toml(table).encode())
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def check_new(file: Path) -> None:
    """Raises UsageError unless a file of this name may be made."""
    where = told(file)
    try:
        there = file.exists() or file.is_symlink()
        fine = not there and file.absolute().parent.is_dir()
    except (OSError, ValueError):
        there = fine = False
    if not fine:
        raise UsageError(
            "this cannot be written there",
            where=where,
            expected="a new file in a folder that exists; nothing is overwritten",
            received="something of this name" if there else "no such place",
            hint="another name" if there else "",
        )
