"""Arguments that several benches take."""

from __future__ import annotations

import argparse


def at_least_one(text: str) -> int:
    """A whole number, for `type=`."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return number
