"""A job on a Jenkins: what its REST API says of it and of its builds, and does with them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from agent.actions.server import Server
from agent.errors import EnvironmentFault

RECENT = 200  # builds among which one is looked for
HIDING = frozenset({502, 504})  # what a proxy says may hide that it was done


class Job:
    """`name` has its folders: team/app. Each method raises Unavailable where nobody answers, EnvironmentFault for a refusal."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name
        self._path = "/".join(f"job/{quote(part, safe='')}" for part in name.split("/"))

    def declared(self) -> set[str]:
        """The names of its parameters."""
        found = self._server.document(f"{self._path}/api/json", tree="name,property[parameterDefinitions[name]]")
        if not found:
            raise EnvironmentFault(f"there is no job {self._name} on {self._server.name}", hint="or its user may not see it")
        return {one["name"] for each in found.get("property", ()) for one in each.get("parameterDefinitions", ())}

    def start(self, form: Mapping[str, str], *, takes: bool, undone: Callable[[], object]) -> str:
        """The item of the queue that a new build is. `takes`: it has parameters. `undone` is called if surely none was queued."""
        where = self._post(f"{self._path}/{'buildWithParameters' if takes else 'build'}", form, undone)
        if not (item := re.search(r"/queue/item/(\d+)/?$", where)):
            raise EnvironmentFault(f"{self._server.name} does not say which item of its queue it is", hint="is it a Jenkins?")
        return item[1]

    def queued(self, item: str) -> dict[str, Any]:
        """What Jenkins says of an item, or would say if it had not forgotten it, some minutes after it left the queue."""
        if found := self._server.document(f"queue/item/{item}/api/json"):
            return found
        build = next((build for build in self._builds("url") if str(build["queueId"]) == item), None)
        return {"executable": build, "cancelled": build is None}

    def marked(self, name: str, value: str) -> str:
        """The item with this parameter; first in the queue, as what is not there any more is among the builds."""
        tree, mark = "actions[parameters[name,value]]", {"name": name, "value": value}
        queued = self._server.document("queue/api/json", tree=f"items[id,{tree}]").get("items", ())
        items = [*queued, *({**build, "id": build["queueId"]} for build in self._builds(tree))]
        return next((str(item["id"]) for item in items if any(mark.items() <= one.items() for one in _parameters(item))), "")

    def build(self, number: str) -> dict[str, Any]:
        """Whether a build goes on, its result and its page."""
        told = self._server.document(f"{self._path}/{number}/api/json", tree="building,result,url")
        return told or {"building": False, "result": "DELETED"}

    def console(self, number: str, start: int, take: Callable[[bytes], object]) -> tuple[int, bool]:
        """Hand on its log from a place on; how far it has come, and whether there will be more."""
        url = f"{self._server.url}{self._path}/{number}/logText/progressiveText?start={start}"
        with self._server.ask("GET", url) as answer:
            if answer.status == 404:
                return start, False
            self._server.check(answer)
            for chunk in answer.chunks():
                take(chunk)
            return int(answer.headers.get("X-Text-Size", start)), answer.headers.get("X-More-Data") == "true"

    def stop(self, number: str) -> None:
        """End a build; nothing if it has ended or is gone."""
        self._post(f"{self._path}/{number}/stop", {})

    def cancel(self, item: str) -> None:
        """Take an item out of the queue; nothing if it is not there."""
        self._post(f"queue/cancelItem?id={item}", {})

    def _post(self, path: str, form: Mapping[str, str], undone: Callable[[], object] = lambda: None) -> str:
        """The Location of the answer; empty if there is nothing at the path."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._crumb()}
        with self._server.ask("POST", f"{self._server.url}{path}", urlencode(form).encode(), headers) as answer:
            if answer.status >= 400 and answer.status not in HIDING:
                undone()
            if answer.status != 404:
                self._server.check(answer)
            return answer.headers.get("Location", "")

    def _crumb(self) -> dict[str, str]:
        """The header by which Jenkins knows a form as its own, with its session; none where it does not ask for it."""
        with self._server.ask("GET", f"{self._server.url}crumbIssuer/api/json") as answer:
            if answer.status == 404:
                return {}
            self._server.check(answer)
            said = answer.document()
            cookies = (cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie", ()))
            return {said["crumbRequestField"]: said["crumb"], "Cookie": "; ".join(cookies)}

    def _builds(self, more: str) -> list[dict[str, Any]]:
        tree = f"builds[number,queueId,{more}]{{0,{RECENT}}}"
        return list(self._server.document(f"{self._path}/api/json", tree=tree).get("builds", ()))


def _parameters(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (one for action in item.get("actions", ()) for one in action.get("parameters", ()))
