"""The page on which a person in a browser lets Lamplighter into an account of the demo world, or does not."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from urllib.parse import urlencode

REFUSE = "refuse"  # a parameter of ours: the person says no

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$name</title>
</head>
<body>
<h1>$name</h1>
<p>Lamplighter asks to see the files of your account. This is a provider of the demo: any name is one of its users.</p>
<form method="get">$hidden
<p><label>User <input name="login_hint" required maxlength="64" value="ada"></label></p>
<p><button>Allow</button> <a href="?$no">No</a></p>
</form>
</body>
</html>
""")
_HIDDEN = '\n<input type="hidden" name="{}" value="{}">'


def consent_page(name: str, parameters: Mapping[str, str]) -> str:
    """HTML that asks for consent to an authorization request, and sends it again with the answer."""
    hidden = "".join(_HIDDEN.format(escape(key), escape(value)) for key, value in parameters.items())
    return _PAGE.substitute(name=escape(name), hidden=hidden, no=escape(urlencode({**parameters, REFUSE: "yes"})))
