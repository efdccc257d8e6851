"""Real keys of every kind, made once for a run of tests: who has which, and the operator's configuration that names them.

alice ed25519      bob rsa               carol ecdsa             frank a certificate   grace OpenPGP
dave  expired      eve not yet valid     olga revoked            trent an old certificate
nina  no role      mallory nobody here   heidi expired OpenPGP   ivan revoked OpenPGP  walter OpenPGP, nobody here
"""

import os
import subprocess
from functools import cached_property
from pathlib import Path

ROLES = {
    "alice": ("qa-lead", "operator"),
    "bob": ("operator",),
    "carol": ("ops", "qa-lead"),
    "grace": ("qa-lead", "operator"),
    "frank": ("qa-lead", "operator"),
    "nina": (),
}
TYPES = {"bob": ("rsa", "-b", "2048"), "carol": ("ecdsa",)}
OPTIONS = {"dave": 'valid-before="20200101"', "eve": 'valid-after="20990101"'}
SSH = ("alice", "bob", "carol", "dave", "eve", "nina", "olga", "mallory")
CERTIFICATES = {"frank": ("frank@example.com", "+52w"), "trent": ("trent", "20200101:20210101")}
OPENPGP = ("grace", "heidi", "ivan", "walter")
UNKNOWN = ("mallory", "walter")


class Keys:
    """Keys under one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gnupg = root / "gnupg"
        for name in SSH:
            self._ssh(name, *TYPES.get(name, ("ed25519",)))
        self._ssh("authority", "ed25519")
        for name, (principal, validity) in CERTIFICATES.items():
            self._ssh(name, "ed25519")
            self._run("ssh-keygen", "-q", "-s", "authority", "-I", name, "-n", principal, "-V", validity, f"{name}.pub")
        (root / "revoked").write_text(self.public("olga") + "\n")
        self._gpg_keys()

    def _run(self, *argv: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        full = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GNUPGHOME": str(self.gnupg), **(env or {})}
        done = subprocess.run(argv, cwd=self.root, input=stdin, capture_output=True, env=full)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def _ssh(self, name: str, kind: str, *more: str) -> None:
        self._run("ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-C", f"{name}@host", "-f", name)

    def _gpg_keys(self) -> None:
        self.gnupg.mkdir(mode=0o700)
        batch = ("gpg", "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback")
        for name in OPENPGP:
            old = ("--faked-system-time", "20200101T000000") if name == "heidi" else ()
            expires = "20200201T000000" if name == "heidi" else "never"
            self._run(*batch, *old, "--quick-generate-key", f"{name} <{name}@example.com>", "ed25519", "sign", expires)
        self._keyring(self._run("gpg", "--batch", "--export"))

    def _keyring(self, exported: bytes) -> None:
        """The server's keyring knows of the revocation, while the thief's home can still sign."""
        certificate = self.gnupg / "openpgp-revocs.d" / f"{self.openpgp('ivan')}.rev"
        server = {"GNUPGHOME": str(self.root / "gnupg-server")}
        (self.root / "gnupg-server").mkdir(mode=0o700)
        self._run("gpg", "--batch", "--import", stdin=exported, env=server)
        text = certificate.read_text().replace(":-----BEGIN", "-----BEGIN")
        self._run("gpg", "--batch", "--import", stdin=text.encode(), env=server)
        (self.root / "keyring.gpg").write_bytes(self._run("gpg", "--batch", "--export", env=server))
        self._run("gpgconf", "--kill", "all", env=server)

    def close(self) -> None:
        """End the agent of this gnupg home."""
        self._run("gpgconf", "--kill", "all")

    def public(self, name: str) -> str:
        """The public key in one line."""
        return (self.root / f"{name}.pub").read_text().strip()

    def openpgp(self, name: str) -> str:
        """The primary fingerprint."""
        listed = self._run("gpg", "--batch", "--with-colons", "--list-keys", f"{name}@example.com").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def known(self, name: str) -> str:
        """What stands in the operator's configuration."""
        if name in OPENPGP:
            return f"openpgp:{self.openpgp(name)}"
        if name in CERTIFICATES:
            return f"cert-authority {self.public('authority')}"
        return f"{OPTIONS[name]} {self.public(name)}" if name in OPTIONS else self.public(name)

    @cached_property
    def config(self) -> str:
        """The configuration of an operator who knows everybody but those in UNKNOWN."""
        lines = [f'revoked_keys = "{self.root}/revoked"', f'openpgp_keyring = "{self.root}/keyring.gpg"']
        for name in (*SSH, *CERTIFICATES, *OPENPGP):
            if name not in UNKNOWN:
                roles = ", ".join(f'"{role}"' for role in ROLES.get(name, ("qa-lead", "operator")))
                lines += [f"[people.{name}]", f'email = "{name}@example.com"', f"roles = [{roles}]"]
                lines += [f"keys = ['{self.known(name)}']"]
        return "\n".join(lines) + "\n"

    def settings(self, name: str) -> tuple[str, ...]:
        """The options of git with which this person signs."""
        common = ("-c", f"user.name={name.title()}", "-c", f"user.email={name}@example.com")
        if name in OPENPGP:
            return (*common, "-c", "gpg.format=openpgp", "-c", f"user.signingkey={self.openpgp(name)}")
        file = f"{name}-cert.pub" if name in CERTIFICATES else f"{name}.pub"
        return (*common, "-c", "gpg.format=ssh", "-c", f"user.signingkey={self.root / file}")

    def environment(self, name: str) -> dict[str, str]:
        """What signing with an OpenPGP key needs; an expired one signs in a time of its own, as gpg would not otherwise."""
        if name not in OPENPGP:
            return {}
        program = self.root / f"gpg-{name}"
        old = "--faked-system-time 20200110T000000" if name == "heidi" else ""
        program.write_text(f'#!/bin/sh\nexec gpg --ignore-time-conflict {old} "$@"\n')
        program.chmod(0o755)
        configured = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "gpg.program", "GIT_CONFIG_VALUE_0": str(program)}
        return {"GNUPGHOME": str(self.gnupg), **(configured if name == "heidi" else {})}

    def sign(self, name: str, payload: bytes, namespace: str = "git") -> bytes:
        """An SSH signature."""
        file = f"{name}-cert.pub" if name in CERTIFICATES else name
        return self._run("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self.root / file), stdin=payload)
