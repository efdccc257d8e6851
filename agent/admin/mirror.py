"""Brings another repository here: fetched beside, then pushed to ours through the hooks, so it is judged as any push.

Ours stays as it is where a change is refused. Nothing is deleted here because it is gone there.
"""

import base64
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.git.command import Git, clean_environment
from agent.git.history import is_ancestor
from agent.git.refs import all_refs
from agent.model.glob import matches
from agent.model.ids import RefName
from agent.secrets.base import Secrets
from agent.settings import Remote
from agent.sources.webhooks import Change
from agent.trust.names import is_control

PROTOCOLS = "file:git:http:https:ssh"  # no ext::, which runs programs


_OID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


class Moved(NamedTuple):
    """A ref of ours that was to follow, and why it did not; `refused` is empty if it did."""

    ref: str
    commit: str
    refused: str = ""


class Mirror:
    """One remote of one repository."""

    def __init__(self, repository: Path, name: str, remote: Remote, secrets: Secrets, environment: Mapping[str, str]) -> None:
        self._repository = repository
        self._name = name
        self._remote = remote
        self._secrets = secrets
        self._environment = clean_environment(environment)
        self._place = repository / "pipeline" / "mirrors" / f"{name}.git"
        self._ours = Git(repository, self._environment)
        self._beside = Git(self._place, self._environment)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever fetched from there."""
        return not (self._place / "HEAD").exists()

    def follow(self, changes: Iterable[Change] = (), *, actor: str = "", starts: bool = True) -> tuple[Moved, ...]:
        """Fetch, and move our refs to where theirs are; with `changes` only these refs, each to the commit that was named.

        `starts` False: what is brought starts nothing. Raises EnvironmentFault if it cannot be fetched.
        """
        with self._alone():
            return self._follow(tuple(changes), actor, starts)

    def _follow(self, changes: tuple[Change, ...], actor: str, starts: bool) -> tuple[Moved, ...]:
        self._fetch()
        wanted = tuple(self._named(changes) if changes else self._all())
        if not wanted:
            return ()
        refused = self._push(wanted, actor, starts)
        if not refused:
            return wanted
        if len(wanted) == 1:
            return (wanted[0]._replace(refused=refused),)
        return tuple(one._replace(refused=self._push((one,), actor, starts)) for one in wanted)

    def _all(self) -> Iterator[Moved]:
        """The refs that stand elsewhere than ours."""
        ours = all_refs(self._ours)
        for ref, commit in all_refs(self._beside).items():
            if self._is_wanted(ref) and ours.get(ref) != commit:
                yield Moved(ref, commit)

    def _named(self, changes: tuple[Change, ...]) -> Iterator[Moved]:
        """What was announced and is true; one that is behind where we stand already has been taken in."""
        ours, theirs = all_refs(self._ours), all_refs(self._beside)
        for ref, named, _ in changes:
            now, there = ours.get(RefName(ref)), theirs.get(RefName(ref))
            if not self._is_wanted(ref) or there is None:
                continue
            target = named if _OID.fullmatch(named) and self._leads(named, there) else there
            if now is None or not (now == target or self._leads(target, now)):
                yield Moved(ref, target)

    def _leads(self, commit: str, head: str) -> bool:
        code, _, _ = self._beside.call("cat-file", "-e", f"{commit}^{{commit}}")
        return code == 0 and is_ancestor(self._beside, commit, head)

    def _is_wanted(self, ref: str) -> bool:
        patterns = [pattern for pattern in self._remote.refs if not (is_control(ref) and pattern == "refs/tags/**")]
        return any(matches(pattern, ref) or matches(pattern, ref.removeprefix("refs/heads/")) for pattern in patterns)

    def _fetch(self) -> None:
        if self.is_new:
            self._make()
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        words = ("fetch", "--quiet", "--prune", "--no-auto-maintenance", self._remote.url, *refs)
        code, _, err = self._beside.call(*words, environment=self._credentials())
        if code:
            said = err.decode(errors="replace").strip()[-500:]
            raise EnvironmentFault(f"remote {self._name} cannot be fetched: {said}", hint=f"look at [remotes.{self._name}]")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Webhooks come several at a time: one after the other, or their fetches would meet at git's locks."""
        place = self._place.with_suffix(".lock")
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with place.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make(self) -> None:
        """A bare repository that borrows our objects; made whole or not at all."""
        fresh = self._place.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        Git(fresh, self._environment).run("init", "--quiet", "--bare")
        (fresh / "objects" / "info" / "alternates").write_text(f"{self._repository}/objects\n")
        fresh.replace(self._place)

    def _push(self, wanted: tuple[Moved, ...], actor: str, starts: bool) -> str:
        """Push; why it was refused, empty if it was not."""
        options = ("-o", "pipeline.detach", *(() if starts else ("-o", "pipeline.skip")))
        refspecs = [f"+{one.commit}:{one.ref}" for one in wanted]
        said = {"REMOTE_USER": actor.replace("\0", "") or f"mirror of {self._name}"}
        words = ("push", "--quiet", *options, str(self._repository), *refspecs)
        code, _, err = self._beside.call(*words, environment=said)
        return "" if code == 0 else _reasons(err) or f"git push ended with {code}"

    def _credentials(self) -> dict[str, str]:
        """By the environment, never by an argument that others on the machine could read."""
        given = {"GIT_ALLOW_PROTOCOL": PROTOCOLS, "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
        if self._remote.key:
            key = self._repository / "pipeline" / self._remote.key
            given["GIT_SSH_COMMAND"] += f" -o IdentitiesOnly=yes -i '{key}'"
        if self._remote.token:
            token = self._secrets.get(self._remote.token).decode().strip()
            pair = token if ":" in token else f"x-access-token:{token}"
            header = f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"
            names = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"http.{self._remote.url}.extraHeader"}
            given |= {**names, "GIT_CONFIG_VALUE_0": header}
        return given


def _reasons(err: bytes) -> str:
    """What the hook said, without git's own frame."""
    lines = err.decode(errors="replace").splitlines()
    told = [line.removeprefix("remote: ").rstrip() for line in lines if line.startswith("remote: ")]
    return os.linesep.join(told or lines).strip()[:2000]
