"""Mail by a real program in sendmail's place, and by a real SMTP conversation."""

import email
import socketserver
from threading import Thread

import pytest

from agent.notify.base import NotDelivered
from agent.notify.mail import MailNotifier
from agent.settings import Mail, Notify
from tests.contracts.notifiers import SECRET, NotifierContract
from tests.support.notices import means, one

RULE = Notify(events=("*",), mail=("qa@example.com", "ops@example.com"))


class TestSendmail(NotifierContract):
    @pytest.fixture
    def notifier(self, tmp_path):
        self.box, self.program = tmp_path / "box", tmp_path / "sendmail"
        self.box.mkdir()
        self.heal()
        return MailNotifier(RULE, means(mail=Mail(sendmail=str(self.program), sender="ci@example.com")))

    def arrived(self):
        return len(list(self.box.iterdir()))

    def _write(self, script):
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)

    def fail(self):
        self._write("echo queue is full >&2; exit 75")

    def heal(self):
        self._write(f"""test "$*" = "-t -i" && cat > "$(mktemp {self.box}/XXXXXX)" """)


class Smtp(socketserver.ThreadingTCPServer):
    """The least that a mail client wants; `codes` answer commands otherwise than usual."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        self.mails, self.logins, self.codes = [], [], {}
        super().__init__(("127.0.0.1", 0), SmtpTalk)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class SmtpTalk(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 here")
        for line in self.rfile:
            verb = line.decode().split()[0].upper()
            if verb in self.server.codes:
                self.say(self.server.codes[verb])
            elif verb == "EHLO":
                self.say("250-here\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                self.server.logins.append(line.split()[2])
                self.say("235 welcome")
            elif verb == "DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(lines))
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def smtp():
    server = Smtp()
    yield server
    server.shutdown()
    server.server_close()


def made(smtp, **more):
    settings = Mail(smtp=smtp.address, security="none", sender="ci@example.com", **more)
    return MailNotifier(RULE, means({"P": SECRET.encode()}, mail=settings))


class TestSmtp(NotifierContract):
    @pytest.fixture
    def notifier(self, smtp):
        self.smtp = smtp
        return made(smtp, user="ci", password="P")

    def arrived(self):
        return len(self.smtp.mails)

    def fail(self):
        self.smtp.codes["MAIL"] = "451 later"

    def heal(self):
        self.smtp.codes.clear()


def test_a_thread_for_each_execution(smtp):
    made(smtp).send(one("approval.needed"))
    message = email.message_from_bytes(smtp.mails[0])
    assert message["Subject"] == "release #42: sign-off/qa waits for an approval"
    assert message["To"] == "qa@example.com, ops@example.com"
    assert message["References"] == f"<{one('approval.needed').execution.id}@git-pipeline>"
    assert "Check staging" in message.get_payload()
    assert "approve/release/42/sign-off" in message.get_payload()


def test_the_password_is_used(smtp):
    made(smtp, user="ci", password="P").send(one("execution.started"))
    assert len(smtp.logins) == 1


@pytest.mark.parametrize(
    ("verb", "code", "refused"), [("RCPT", "550 who?", True), ("RCPT", "450 later", False), ("DATA", "554 no", True)]
)
def test_what_an_answer_means(smtp, verb, code, refused):
    smtp.codes[verb] = code
    with pytest.raises(NotDelivered) as caught:
        made(smtp).send(one("execution.started"))
    assert caught.value.refused is refused


def test_a_server_that_does_not_encrypt_gets_nothing(smtp):
    settings = Mail(smtp=smtp.address, sender="ci@example.com")
    with pytest.raises(NotDelivered):
        MailNotifier(RULE, means(mail=settings)).send(one("execution.started"))
    assert smtp.mails == []


def test_no_sendmail_is_told():
    with pytest.raises(NotDelivered, match="nowhere") as caught:
        MailNotifier(RULE, means(mail=Mail(sendmail="/nowhere/sendmail"))).send(one("execution.started"))
    assert not caught.value.refused
