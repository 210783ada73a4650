"""How many examples the fuzz tests try, and text that was written to do harm.

They try the same 100 every time. With RDREPRO_FUZZ=1000 they try 1000 new ones.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TOTAL = int(os.environ.get("RDREPRO_FUZZ", "100"))

PIECES = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!-- end of demo -->", "</td>"),
    *("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "`", "```", "``<b>`", "|", "\\", "\\|"),
    *("\\input{/etc/passwd}", "$x_{$", "%", "&", "#", "_", "~", "^", "[1cm]", "*", "]("),
    *(
        "[x](javascript:alert(1))",
        "\n",
        "\r\n",
        "\n\n# a",
        "\x00",
        "\u2028",
        "\u202e",
        "größe",
        "円",
    ),
)
hostile_text = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=4).map("".join)


def examples(percent: int) -> settings:
    """The settings of a test that tries this share of all examples."""
    return settings(
        max_examples=max(1, TOTAL * percent // 100),
        derandomize="RDREPRO_FUZZ" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def check_sentence(error: Exception) -> None:
    """Assert that an error's message is one sentence, on one line."""
    message = str(error)
    assert message and message.isprintable(), repr(message)
    assert "Traceback" not in message and len(message) < 2000, message
