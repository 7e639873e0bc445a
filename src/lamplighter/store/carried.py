"""How a store without a place for it keeps the trace of a job: before its arguments, out of which it is taken again.

Who enqueues while nobody traces, and each job that is run then, passes this by at the cost of one comparison.
"""

from __future__ import annotations

from lamplighter.core.model import LENGTH_OF_TRACE

_HEAD = '{"$trace":"'  # as no parameter can be named
_AFTER = len(_HEAD) + LENGTH_OF_TRACE + 1


def carry(args: str, trace: str | None) -> str:
    """Arguments, a JSON object, with the trace that they are to carry."""
    if trace is None:
        return args
    rest = args[1:].lstrip()
    return f'{_HEAD}{trace}"{"" if rest == "}" else ","}{rest}'


def parted(args: str) -> tuple[str, str | None]:
    """The arguments as they were, and the trace that they carried."""
    if not args.startswith(_HEAD):
        return args, None
    return "{" + args[_AFTER:].removeprefix(","), args[len(_HEAD) : _AFTER - 1]
