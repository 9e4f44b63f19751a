"""Values as they are typed in Hydra's options."""

import re
from typing import Any

PLAIN = re.compile(r"[A-Za-z_./][\w./+@-]*")
WORDS = ("true", "false", "null", "inf", "nan")


def literal(value: Any) -> str:
    r"""Return plain data as the right side of an option, to be read as what it is.

    >>> [literal(value) for value in (None, True, 1e-3, "vit_b", "1", "a, b")]
    ['null', 'true', '0.001', 'vit_b', "'1'", "'a, b'"]
    >>> literal({"mean": [0.5, 1], "it's": "null"})
    "{mean:[0.5,1],'it\\'s':'null'}"
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{literal(str(key))}:{literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(literal, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str) or (PLAIN.fullmatch(value) and value.lower() not in WORDS):
        return str(value)
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"
