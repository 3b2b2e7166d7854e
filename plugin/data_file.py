"""TOML files people write: read, checked against a model, and every mistake named with its
file, its key, the reason and the remedy.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

MAX_BYTES = 256 * 1024

Model = TypeVar("Model", bound="Strict")


class Strict(BaseModel):
    """Nothing unknown, nothing converted, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataFileError(Exception):
    """A file people wrote is wrong; `facts` fill the catalogue's sentences."""

    def __init__(
        self, file: str, key: str, reason: str, remedy_zh: str, remedy_en: str
    ) -> None:
        super().__init__(f"{file}: {key}: {reason} ({remedy_en})")
        self.facts = {
            "file": file,
            "key": key,
            "reason": reason,
            "remedy_zh": remedy_zh,
            "remedy_en": remedy_en,
        }


def load(path: Path, model: type[Model]) -> Model:
    """The checked content of a TOML file. Raises DataFileError."""
    name = path.name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataFileError(
                name, "-", "larger than 256 KiB", "换一个文件", "give another file"
            )
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failed:
        reason = failed.strerror or "cannot be read"
        raise DataFileError(
            name,
            "-",
            reason,
            "检查文件路径和权限",
            "check the path and the permissions",
        ) from failed
    except UnicodeDecodeError as failed:
        raise DataFileError(
            name, "-", "not UTF-8", "另存为 UTF-8 编码", "save it as UTF-8"
        ) from failed
    except tomllib.TOMLDecodeError as failed:
        raise DataFileError(
            name,
            "-",
            str(failed),
            "按提示的行列修改",
            "correct it at that line and column",
        ) from failed
    except RecursionError as failed:
        raise DataFileError(
            name, "-", "nested too deeply", "减少嵌套", "nest less"
        ) from failed
    return check(name, content, model)


def check(name: str, content: dict[str, Any], model: type[Model]) -> Model:
    """Check what a file said. Raises DataFileError about the first mistake."""
    try:
        return model.model_validate(content)
    except ValidationError as wrong:
        raise _first_mistake(name, wrong.errors()[0], model) from wrong


def _first_mistake(
    name: str, mistake: ErrorDetails, model: type[BaseModel]
) -> DataFileError:
    where = [str(part) for part in mistake["loc"]]
    key = ".".join(where) or "-"
    match mistake["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(where[-1], _names(model), n=1)
            hint_zh = f"删除它，或改为 {near[0]}" if near else "删除它"
            hint_en = f"remove it, or write {near[0]}" if near else "remove it"
            return DataFileError(name, key, "unknown key", hint_zh, hint_en)
        case "missing":
            return DataFileError(
                name, key, "missing", "补上这一项", "add it; see reference.toml"
            )
        case _:
            reason = mistake["msg"].removeprefix("Value error, ")
            return DataFileError(
                name, key, reason, "改为允许的值", "write a value it can have"
            )


def _names(model: type[BaseModel]) -> Iterable[str]:
    """Every key this model or a model inside it knows."""
    for name, field in model.model_fields.items():
        yield name
        yield from _names_within(field.annotation)


def _names_within(annotation: Any) -> Iterable[str]:  # noqa: ANN401 - a type form
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _names(annotation)
    for argument in getattr(annotation, "__args__", ()):
        yield from _names_within(argument)
