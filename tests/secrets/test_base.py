"""Where secrets come from on this machine, and what is said when they do not."""

import pytest

from agent.config import Secret
from agent.errors import EnvironmentFault
from agent.secrets.base import EnvironmentSource, FileSource, Secrets


def test_a_file_gives_its_content_without_the_last_line_break(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "token").chmod(0o600)
    secrets = Secrets({"T": Secret(file="token")}, {"file": lambda: FileSource(tmp_path)})
    assert secrets.get("T") == b"s3cret"


def test_a_file_that_others_can_read_is_refused(tmp_path):
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(EnvironmentFault, match="can be read by others") as caught:
        FileSource(tmp_path).get("T", Secret(file="token"))
    assert "s3cret" not in str(caught.value)
    assert "chmod 600" in caught.value.hint


def test_a_missing_file_names_the_secret(tmp_path):
    with pytest.raises(EnvironmentFault, match="secret T"):
        FileSource(tmp_path).get("T", Secret(file="token"))


def test_the_agents_environment():
    source = EnvironmentSource({"GIT_PIPELINE_TOKEN": "s3cret"})
    assert source.get("T", Secret(environment="GIT_PIPELINE_TOKEN")) == b"s3cret"
    with pytest.raises(EnvironmentFault, match="no environment variable OTHER"):
        source.get("T", Secret(environment="OTHER"))
