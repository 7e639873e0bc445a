"""Tracebacks, read for people."""

from __future__ import annotations

from lamplighter.web.pages.tracebacks import last_frame, read_traceback

TEXT = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/lib/run.py", line 12, in run
    return call()
           ^^^^^^
  File "/srv/shop/orders.py", line 7, in total
    return sum(prices)
ValueError: no prices
"""


def test_each_line_is_told_by_what_it_is() -> None:
    assert [line.part for line in read_traceback(TEXT)] == [
        "head",
        "library",
        "library",
        "marks",
        "frame",
        "code",
        "error",
    ]


def test_no_line_is_lost() -> None:
    assert [line.text for line in read_traceback(TEXT)] == TEXT.splitlines()


def test_where_it_was_raised_does_not_change_with_the_number_of_the_line() -> None:
    assert last_frame(TEXT) == last_frame(TEXT.replace("line 7", "line 9")) == "shop/orders.py in total"


def test_a_text_without_frames_has_no_place() -> None:
    assert last_frame("killed: out of memory") == ""
