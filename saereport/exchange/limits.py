"""How large the formats' parts may be, and the base of the models that check them.

The ceilings are far above what SAEDashboard and Neuronpedia write: they are there so that a file
cannot exhaust the memory.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from saereport.util.errors import SaereportError
from saereport.util.untrusted import MIB, TEXT_BYTES, TOKEN_IDS, Limits, check_shape

DOCUMENT = Limits(file_bytes=256 * MIB, text_bytes=256 * MIB, depth=16)
"""A whole JSON document, such as a batch: a batch of 128 latents takes some 15 MB."""
ROWS = Limits(file_bytes=2048 * MIB, text_bytes=8192 * MIB, line_bytes=8 * MIB, depth=16)
"""JSON lines, which are read one by one."""
ROWS_PER_FILE = 2_000_000
FILES = 20_000
LATENTS = 2_000_000
EXAMPLES = 4_000_000
TOKENS = 200_000_000
"""Tokens in all examples together: 1.6 GB of memory."""
WORDS = TOKEN_IDS
"""Distinct tokens: as many as a run can number."""
LARGEST_INDEX = 16_777_215

BIG = 1e30
Token = Annotated[str, StringConstraints(max_length=1_000)]
Name = Annotated[str, StringConstraints(max_length=500)]
Text = Annotated[str, StringConstraints(max_length=TEXT_BYTES // 4)]
"""No longer in UTF-8 than a run takes, whatever its characters."""
Number = Annotated[float, Field(ge=-BIG, le=BIG)]
Share = Annotated[float, Field(ge=0, le=1)]
HeadShare = Annotated[float, Field(ge=0, le=1.001)]
HeadShares = Annotated[tuple[HeadShare, ...], Field(max_length=4_096, fail_fast=True)]
Index = Annotated[int, Field(ge=0, le=LARGEST_INDEX)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Tokens = Annotated[tuple[Token, ...], Field(max_length=65_536, fail_fast=True)]
Numbers = Annotated[tuple[Number, ...], Field(max_length=65_536, fail_fast=True)]
Height = Annotated[float, Field(ge=0, le=1e12)]
Heights = Annotated[tuple[Height, ...], Field(max_length=4_096, fail_fast=True)]

M = TypeVar("M", bound=BaseModel)


class Given(BaseModel):
    """Base of what is read: exact types, finite numbers, unknown fields passed over.

    Its sequences fail at the first wrong entry: a list of all errors could be larger than the file.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


def parsed(model: type[M], text: bytes, where: str, limits: Limits) -> M:
    """JSON as a model.

    Args:
        model: What it must be.
        text: UTF-8.
        where: The file, and the line if there is one, for the message.
        limits: For depth and number of values.

    Raises:
        SaereportError: It is not JSON, over a limit, or not what the model asks for; says where.
    """
    check_shape(text, where, limits)
    try:
        return model.model_validate_json(text.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SaereportError(f"{where}: {f'{place}: ' if place else ''}{first['msg']}.") from error


def same_length(first: tuple[object, ...], second: tuple[object, ...], names: str) -> None:
    """Refuse two lists that belong together and differ in length.

    Raises:
        ValueError: They differ.
    """
    if len(first) != len(second):
        raise ValueError(f"{names} have {len(first)} and {len(second)} entries")
