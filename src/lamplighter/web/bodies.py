"""What requests are made of: texts that every store can keep, and bodies without fields that nobody knows."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lamplighter.core.draft import LONGEST_NAME

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"  # of names: some stores refuse a NUL, and some end a text at it

Text = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=PRINTABLE)]
Search = Annotated[str, Query(max_length=LONGEST_NAME, pattern=PRINTABLE)]  # of a form: "" is what was left empty
Name = Annotated[str, Path(max_length=LONGEST_NAME, pattern=PRINTABLE)]
Queue = Annotated[str, Path(max_length=LONGEST_NAME, pattern=PRINTABLE)]


MOST_PRIORITY = 1000  # either way


class Body(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)
