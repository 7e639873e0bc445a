"""What a page's form has sent."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import Request

MOST_FIELDS = 20


async def form_of(request: Request) -> dict[str, str]:
    """Its fields, each by name; none of what is no form. What is left empty is empty."""
    body = (await request.body()).decode(errors="replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # more fields than any form has
        return {}
    return {name: values[0] for name, values in fields.items()}
