"""A web server that behaves as Jenkins' REST interface does: crumbs bound to a session, a queue, builds, a console that grows.

What a build does is told by `ends` and `looks`; nothing of it is known to the product.
"""

import base64
import json
import re
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qsl, urlsplit

ROOT = "http://jenkins.example.com"  # what it believes to be called, as behind a proxy
CRUMB = "c0ffee"


class Jenkins:
    """One job `team/app` with parameters, and one `plain` without; `looks` is how often a build is seen before it ends."""

    def __init__(self, user: str = "agent", password: str = "hunter22") -> None:
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.declared: dict[str, list[str]] = {"team/app": ["VERSION", "PIPELINE_ATTEMPT"], "plain": []}
        self.console = ["Started by agent", "compiling…", "Finished"]
        self.ends = "SUCCESS"
        self.looks = 2  # while it runs
        self.waits = 1  # looks while it is in the queue; -1: for ever
        self.forgets = False  # items that have left the queue
        self.loses: set[str] = set()  # paths whose next answer is lost, after it was done
        self.busy: deque[int] = deque()  # statuses in place of an answer
        self.items: list[dict] = []
        self.builds: list[dict] = []
        self.asked: list[str] = []
        self._lock = Lock()
        jenkins = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer("")

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

            def answer(self, form: str) -> None:
                with jenkins._lock:
                    status, headers, body = jenkins._answer(self, form)
                if urlsplit(self.path).path in jenkins.loses:
                    jenkins.loses.discard(urlsplit(self.path).path)
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()

    def started(self) -> int:
        """How many builds were ever asked for."""
        return len(self.items)

    def _answer(self, request, form: str):
        parts = urlsplit(request.path)
        self.asked.append(f"{request.command} {parts.path}")
        if self.busy:
            return self.busy.popleft(), {"Retry-After": "0"}, b""
        if request.headers.get("Authorization") != self.login:
            return 401, {"WWW-Authenticate": 'Basic realm="Jenkins"'}, b""
        query = dict(parse_qsl(parts.query))
        if request.command == "POST":
            if request.headers.get("Jenkins-Crumb") != CRUMB or "JSESSIONID=1" not in request.headers.get("Cookie", ""):
                return 403, {}, b"No valid crumb was included in the request"
            return self._do(parts.path, dict(parse_qsl(form)), query)
        if parts.path == "/crumbIssuer/api/json":
            return 200, {"Set-Cookie": "JSESSIONID=1; Path=/; HttpOnly"}, _json(crumb=CRUMB, crumbRequestField="Jenkins-Crumb")
        return self._tell(parts.path, query)

    def _do(self, path: str, form: dict[str, str], query: dict[str, str]):
        if found := re.fullmatch(r"/job/(team/job/app|plain)/(build|buildWithParameters)", path):
            declared = self.declared[found[1].replace("/job/", "/")]
            if bool(declared) != (found[2] == "buildWithParameters"):
                return 400, {}, b"Nothing is submitted"
            parameters = [{"name": name, "value": value} for name, value in form.items() if name in declared]
            item = {"id": 41 + len(self.items), "looks": 0, "actions": [{"parameters": parameters}, {}], "build": None}
            self.items.append(item)
            return 201, {"Location": f"{ROOT}/queue/item/{item['id']}/"}, b""
        if path == "/queue/cancelItem":
            item = self._item(query["id"])
            item["cancelled"] = item["build"] is None
            return 204 if item["cancelled"] else 404, {}, b""
        if found := re.fullmatch(r"/job/(team/job/app|plain)/(\d+)/stop", path):
            self.builds[int(found[2]) - 1].update(building=False, result="ABORTED")
            return 302, {"Location": ROOT}, b""
        return 404, {}, b""

    def _tell(self, path: str, query: dict[str, str]):
        if found := re.fullmatch(r"/queue/item/(\d+)/api/json", path):
            item = self._item(found[1])
            self._move(item)
            if self.forgets and item["build"]:
                return 404, {}, b""
            build = item["build"] and {key: item["build"][key] for key in ("number", "url")}
            why = f"In the quiet period. Expires in {item['looks']} sec"
            return 200, {}, _json(id=item["id"], why=why, cancelled=item.get("cancelled", False), executable=build)
        if path == "/queue/api/json":
            return 200, {}, _json(items=[item for item in self.items if not item["build"]])
        if found := re.fullmatch(r"/job/(team/job/app|plain)/api/json", path):
            names = [{"name": name} for name in self.declared[found[1].replace("/job/", "/")]]
            return 200, {}, _json(name="app", property=[{}, {"parameterDefinitions": names}], builds=self.builds)
        if found := re.fullmatch(r"/job/[\w/]+/(\d+)/api/json", path):
            build = self.builds[int(found[1]) - 1]
            build["looks"] += 1
            if build["building"] and build["looks"] > self.looks >= 0:
                build.update(building=False, result=self.ends)
            return 200, {}, _json(building=build["building"], result=build["result"], url=build["url"])
        if found := re.fullmatch(r"/job/[\w/]+/(\d+)/logText/progressiveText", path):
            return self._progress(self.builds[int(found[1]) - 1], int(query["start"]))
        return 404, {}, b""

    def _progress(self, build: dict, start: int):
        """Cut anywhere, also within a character, as long as it is not all."""
        text = "\r\n".join(self.console).encode()
        size = len(text) if not build["building"] else min(len(text), 28 * build["looks"])
        more = {"X-More-Data": "true"} if build["building"] else {}
        return 200, {"X-Text-Size": str(size), "Content-Type": "text/plain;charset=utf-8", **more}, text[start:size]

    def _item(self, identity: str) -> dict:
        return self.items[int(identity) - 41]

    def _move(self, item: dict) -> None:
        item["looks"] += 1
        if item["build"] is None and not item.get("cancelled") and item["looks"] > self.waits >= 0:
            number = len(self.builds) + 1
            item["build"] = {
                "number": number, "url": f"{ROOT}/job/team/job/app/{number}/", "queueId": item["id"], "looks": 0,
                "building": True, "result": None, "actions": item["actions"],
            }  # fmt: skip
            self.builds.append(item["build"])


def _json(**document: object) -> bytes:
    return json.dumps(document).encode()
