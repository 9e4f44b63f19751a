import json
import logging
from pathlib import Path

import pytest
from conftest import Command

from ktlight.report.failure import read_failure, write_failure
from ktlight.report.secrets import RedactingFormatter, redacted, redacted_command, reveals

WANDB, HUB = "0123456789abcdef" * 2 + "01234567", "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git+https://me:pass@host.org/x", "git+https://***@host.org/x"),
        ("--token=0123456789 seed=1", "--token=*** seed=1"),
        ("{'hub_password': 'correct-horse'}", "{'hub_password': '***'}"),
        (f"no access with {HUB}.", "no access with ***."),
        ("api_key: abcdefghij", "api_key: ***"),
    ],
)
def test_what_is_hidden(text: str, expected: str) -> None:
    assert redacted(text) == expected and reveals(text)


@pytest.mark.parametrize(
    "text",
    ["data.image_key=image_bytes", "+student.kwargs.class_token=true", "global_pool=token", "http://host:80/a@b",
     "seed=1", "data.label_key=fine_label_name", "a tokenizer: wordpiece_long"],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert redacted(text) == text


def test_values_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", WANDB)
    monkeypatch.setenv("MY_SECRET", "short")
    assert redacted(f"key {WANDB} is short") == "key *** is short"


def test_command_lines_and_logs() -> None:
    assert redacted_command(["x.py", "--token", "abc", HUB]) == ["x.py", "--token", "***", "***"]
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s said %s", ("hub", HUB), None)
    assert RedactingFormatter("%(name)s: %(message)s").format(record) == "a: hub said ***"


def test_failures(tmp_path: Path) -> None:
    write_failure(tmp_path, "unexpected", f"401 for {HUB}", f"Traceback: {HUB}")
    failure = read_failure(tmp_path)
    assert failure and failure.message == "401 for ***" and failure.traceback == "Traceback: ***"


@pytest.mark.parametrize(
    "typed",
    [
        f"+student.kwargs.token={HUB}",
        f"student.checkpoint=hf-hub:me/{WANDB}",
        "data.root=https://me:pass@host/images",
        "+hydra.job.env_set.HF_TOKEN=abcdefghijk",
        "-m data.root=https://me:pass@host/images,b",
    ],
)
def test_an_option_with_a_token_is_refused(
    typed: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", WANDB)
    ended = command(*typed.split())
    assert ended.code == 1 and "holds a token or a password" in ended.err
    assert not list(tmp_path.iterdir())
    for secret in (HUB, WANDB, "me:pass", "abcdefghijk"):
        assert secret not in ended.err + ended.out


def test_nor_does_a_config_fetch_one(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", WANDB)
    (tmp_path / "theirs" / "experiment").mkdir(parents=True)
    (tmp_path / "theirs" / "experiment" / "a.yaml").write_text(
        "# @package _global_\npretrain: {name: '${oc.env:WANDB_API_KEY}'}\n"
    )
    ended = command("--config-dir", "theirs", "experiment=a")
    assert ended.code == 1 and "pretrain.name holds a token" in ended.err and WANDB not in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_no_file_of_a_run_has_a_token(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run with tokens in the environment, on W&B, whose log is told one; then one that fails of it."""
    monkeypatch.setenv("HF_TOKEN", HUB)
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "correct horse battery")
    logging.getLogger("ktlight.told").setLevel(logging.INFO)
    secrets = (HUB, "correct horse battery")

    def told(*given: object) -> None:
        logging.getLogger("ktlight.told").info("the server wants %s", HUB)

    monkeypatch.setattr("ktlight.tasks.transfer.check_classes", told)
    ended = command("trainer.max_epochs=1", "method=kl", "logger=wandb", "hydra.run.dir=one")
    assert ended.code == 0 and "the server wants ***" in ended.out, ended.err

    def fail(*given: object) -> None:
        raise RuntimeError(f"401 Unauthorized: {HUB} for https://me:pass@host")

    monkeypatch.setattr("ktlight.tasks.transfer.train", fail)
    failed = command("trainer.max_epochs=1", "method=kl", "logger=wandb", "hydra.run.dir=two")
    assert failed.code == 1 and json.loads((tmp_path / "two" / "failure.json").read_text())["kind"] == "unexpected"
    texts = [ended.out, ended.err, failed.out, failed.err]
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in (*secrets, "me:pass")), file
    assert not any(secret in text for secret in (*secrets, "me:pass") for text in texts)
