"""Forms of pages, as browsers send them."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request

MOST_FIELDS = 10


async def read_form(request: Request) -> dict[str, str]:
    """The first value of each field; what is left empty is empty. What is no form has none. `Bounds` keeps it short."""
    body = (await request.body()).decode(errors="replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # more fields than any form has
        return {}
    return {name: values[0] for name, values in fields.items()}
