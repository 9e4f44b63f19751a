"""A run at W&B with a server that refuses, with W&B's own code, and with what can go wrong later."""

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ktlight.publication.weights_and_biases import tracking
from ktlight.publication.weights_and_biases.tracking import Tracked, figures_of, has_credentials
from tests.wandb_records import records, started, summary


class Refusing(BaseHTTPRequestHandler):
    """A server that knows no key."""

    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors": [{"message": "user is not logged in"}]}')

    do_GET = do_POST

    def log_message(self, *given: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import wandb

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("WANDB_MODE")
    wandb.teardown()  # or it goes on with the settings of an earlier test
    yield
    server.shutdown()
    wandb.teardown()


def test_a_wrong_key_leads_to_an_offline_run(
    refusing: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    assert has_credentials()
    tracked = Tracked(tmp_path, project="mine", name="a", id="abc")
    told = [record.getMessage() for record in caplog.records if record.name == tracking.__name__]
    assert told == [
        "W&B: CommError: user is not logged in, so it runs offline, as WANDB_MODE=offline would without trying"
    ]
    tracked.do(lambda run: run.log({"loss": 1.0}))
    tracked.summary = {"acc_after": 50.0}
    tracked.end()
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert records(run)["loss"] == 1 and started(run).run_id == "abc"
    assert summary(run) == {"acc_after": 50.0, "state": "done", "status": 0}


def test_an_upload_that_takes_too_long_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracked = Tracked(tmp_path, project="mine", name="a")
    finish = tracked.run.finish

    def late(exit_code: int) -> None:
        finish(exit_code=exit_code)
        raise TimeoutError("Timed out finishing run.")

    tracked.run.finish = late
    tracked.end("preempted", 75)
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert f"TimeoutError: Timed out finishing run. What was not uploaded: `wandb sync {run}`" in caplog.text
    assert summary(run) == {"state": "preempted", "status": 75}


def test_where_nothing_can_be_written_nothing_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    def fail(**given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wandb, "init", fail)
    tracked = Tracked(tmp_path, project="mine", name="a")
    tracked.do(lambda run: run.log({}))
    tracked.end()
    told = [record.getMessage() for record in caplog.records if record.name == tracking.__name__]
    assert told == ["W&B: OSError: [Errno 28] No space left on device, so nothing is logged there"]


def test_what_charts_are_drawn_of() -> None:
    results = {"acc_before": 50.0, "acc_teacher": 60.0, "transfer_delta": -2.0, "models": {}, "teacher": "a"}
    expected = {**results, "difference": 10.0, "better": 0}
    del expected["models"]
    assert figures_of(results) == expected and figures_of({"acc": 1.0, "task": "pretrain"}) == {
        "acc": 1.0, "task": "pretrain",
    }  # fmt: skip
