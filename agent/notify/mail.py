"""Notices as mail, by the machine's sendmail or by an SMTP server."""

import smtplib
import ssl
import subprocess
from email.message import EmailMessage
from email.utils import format_datetime

from agent.model.notice import Notice
from agent.notify import payload
from agent.notify.base import TIMEOUT, Means, NotDelivered
from agent.settings import Mail, Notify

_BAD_ADDRESS = 500  # SMTP answers from here on say that trying again is no use


class MailNotifier:
    """Sends one message for all addresses of the rule."""

    def __init__(self, rule: Notify, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        message = _message(notice, self._rule.mail, self._means)
        if self._means.mail.smtp:
            self._by_smtp(message)
        else:
            self._by_sendmail(message)

    def _by_sendmail(self, message: EmailMessage) -> None:
        program = self._means.mail.sendmail
        try:
            done = subprocess.run(
                [program, "-t", "-i"],
                input=message.as_bytes(), capture_output=True, timeout=TIMEOUT, check=False, env=dict(self._means.environment),
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotDelivered(f"{program}: {error}", hint="install a mail transfer agent, or set [mail] smtp") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[:200]
            raise NotDelivered(f"{program} ends with {done.returncode}: {said}", hint="look at the machine's mail log")

    def _by_smtp(self, message: EmailMessage) -> None:
        settings = self._means.mail
        try:
            with self._connected(settings) as server:
                if settings.user:
                    server.login(settings.user, self._means.secret(settings.password).decode())
                server.send_message(message)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            raise NotDelivered(
                f"{settings.smtp} answers {error.smtp_code} {said}",
                hint="look at [mail] and at the addresses",
                refused=error.smtp_code >= _BAD_ADDRESS,
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            refused = all(code >= _BAD_ADDRESS for code, _ in error.recipients.values())
            raise NotDelivered(f"{settings.smtp} takes none of the addresses", refused=refused) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"{settings.smtp}: {error}", hint="is the server up, and [mail] smtp right?") from error

    @staticmethod
    def _connected(settings: Mail) -> smtplib.SMTP:
        host, _, port = settings.smtp.partition(":")
        if settings.security == "tls":
            return smtplib.SMTP_SSL(host, int(port or 465), timeout=TIMEOUT, context=ssl.create_default_context())
        server = smtplib.SMTP(host, int(port or 25 if settings.security == "none" else port or 587), timeout=TIMEOUT)
        if settings.security == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server


def _message(notice: Notice, addresses: tuple[str, ...], means: Means) -> EmailMessage:
    """A thread for each execution; the id is the same at every delivery."""
    message = EmailMessage()
    message["Subject"] = payload.subject(notice)
    message["From"] = means.mail.sender or f"git-pipeline <{means.environment.get('USER') or 'git-pipeline'}@localhost>"
    message["To"] = ", ".join(addresses)
    message["Date"] = format_datetime(notice.at)
    message["Message-ID"] = f"<{notice.id}@git-pipeline>"
    message["References"] = f"<{notice.execution.id}@git-pipeline>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(payload.text(notice, means.link_of(notice)) + "\n")
    return message
