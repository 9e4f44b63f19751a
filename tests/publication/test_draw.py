import os
import signal
import time

from ktlight.errors import UserError
from ktlight.publication.draw import svg

POINT = {"mark": "point", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}}


def test_a_forked_process_says_that_it_cannot_draw_rather_than_wait_for_ever() -> None:
    assert svg(POINT).startswith("<svg")
    child = os.fork()
    if not child:
        try:
            svg(POINT)
        except UserError as error:
            os._exit(0 if "method 'spawn'" in str(error) else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 600
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended and time.monotonic() < deadline:
        time.sleep(0.1)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended and status == 0
