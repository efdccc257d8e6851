"""The status of a commit on GitHub, GitLab and Bitbucket, by their REST interfaces; it links to no server of ours."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from agent.model.notice import Notice
from agent.notify import http, payload
from agent.notify.base import Means
from agent.settings import CommitStatus

_BITBUCKET_KEY = 40  # characters at most


class Forge:
    """POSTs a status. Each forge says where, in which words, and how it wants to be convinced."""

    api: str
    words: Mapping[str, str]  # our event -> its state

    def __init__(self, rule: CommitStatus, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        state = self.words.get(notice.event, "")
        if not state:
            return
        token = self._means.secret(self._rule.token).decode().strip()
        url = (self._rule.api or self.api).rstrip("/") + self.path(notice.execution.commit)
        body = payload.encoded(self.body(state, notice)).encode()
        http.post(url, body, {"Content-Type": "application/json", "Accept": "application/json", **self.credentials(token)})

    def path(self, commit: str) -> str:
        raise NotImplementedError

    def body(self, state: str, notice: Notice) -> dict[str, Any]:
        raise NotImplementedError

    def credentials(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def context(self, notice: Notice) -> str:
        """Under which name the status stands: a newer one of the same name takes its place."""
        return self._rule.context.replace("{pipeline}", notice.execution.pipeline)

    def link(self, notice: Notice) -> str:
        return self._means.link_of(notice)


class GitHub(Forge):
    """https://docs.github.com/rest/commits/statuses"""

    api = "https://api.github.com"
    words = {
        "execution.started": "pending",
        "execution.resumed": "pending",
        "approval.needed": "pending",
        "execution.succeeded": "success",
        "execution.failed": "failure",
        "execution.stopped": "error",
        "execution.superseded": "error",
    }

    def path(self, commit: str) -> str:
        return f"/repos/{quote(self._rule.github)}/statuses/{commit}"

    def body(self, state: str, notice: Notice) -> dict[str, Any]:
        link = self.link(notice)
        more = {"target_url": link} if link else {}
        return {"state": state, "context": self.context(notice), "description": payload.subject(notice), **more}


class GitLab(Forge):
    """https://docs.gitlab.com/api/commits/#set-commit-pipeline-status"""

    api = "https://gitlab.com/api/v4"
    words = {**GitHub.words, "execution.started": "running", "execution.resumed": "running"} | {
        "execution.failed": "failed",
        "execution.stopped": "canceled",
        "execution.superseded": "canceled",
    }

    def path(self, commit: str) -> str:
        return f"/projects/{quote(self._rule.gitlab, safe='')}/statuses/{commit}"

    def body(self, state: str, notice: Notice) -> dict[str, Any]:
        execution, link = notice.execution, self.link(notice)
        short = execution.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        more = {"target_url": link} if link else {}
        return {"state": state, "name": self.context(notice), "ref": short, "description": payload.subject(notice), **more}

    def credentials(self, token: str) -> dict[str, str]:
        return {"PRIVATE-TOKEN": token}


class Bitbucket(Forge):
    """https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses; it wants a URL: else the commit there."""

    api = "https://api.bitbucket.org/2.0"
    words = {
        "execution.started": "INPROGRESS",
        "execution.resumed": "INPROGRESS",
        "approval.needed": "INPROGRESS",
        "execution.succeeded": "SUCCESSFUL",
        "execution.failed": "FAILED",
        "execution.stopped": "STOPPED",
        "execution.superseded": "STOPPED",
    }

    def path(self, commit: str) -> str:
        return f"/repositories/{quote(self._rule.bitbucket)}/commit/{commit}/statuses/build"

    def body(self, state: str, notice: Notice) -> dict[str, Any]:
        name = self.context(notice)
        commit = f"https://bitbucket.org/{self._rule.bitbucket}/commits/{notice.execution.commit}"
        return {
            "key": name[-_BITBUCKET_KEY:],
            "state": state,
            "name": name,
            "description": payload.subject(notice),
            "url": self.link(notice) or commit,
        }

    def credentials(self, token: str) -> dict[str, str]:
        if ":" in token:
            return {"Authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        return super().credentials(token)
