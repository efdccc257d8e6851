"""Lessons of the field that take a whole push to show (the list is in tests/test_lessons.py)."""

import base64
import json
from urllib.parse import quote

import pytest

from tests.support.repo import Refused
from tests.support.steered import Steered
from tests.support.working import CONFIG, Working

SECRET = 's3cr3t/va+lue"42é'
GRANTS = """\
linger = "PT0.3S"
protected = ["main", "release/**"]
[secrets.TOKEN]
file = "token"
[hosts.web]
addresses = ["192.0.2.1"]
"""
HOSTILE = (
    "$(touch${IFS}gotcha)",
    "`touch${IFS}gotcha`",
    "x;touch${IFS}gotcha;y",
    "x'\"|touch${IFS}gotcha&",
    "--upload-pack=gotcha",
    "-gotcha",
    "${{source.author}}",
    "x%0agotcha%s%n",
)


@pytest.fixture
def repo(tmp_path):
    made = Working(tmp_path)
    token = made.directory / "token"
    token.write_text(f"{SECRET}\n")
    token.chmod(0o600)
    yield made
    made.end()


def over(repo, number: int = 1) -> dict:
    """The record of the execution of this number, once it is over and published."""

    def found() -> dict | None:
        lines = (repo.note("refs/notes/pipeline-record", repo.row(number).commit) or b"").splitlines()
        return next((one for one in map(json.loads, lines) if one["number"] == number and one["ended_at"]), None)

    repo.wait(found, f"#{number} is over and published")
    return found() or {}


def actions(record: dict) -> dict[str, dict]:
    return {one["name"]: one for stage in record["stages"] for one in stage["actions"]}


GREEDY = """\
triggers: [{push: {branches: ["**"]}}]
stages:
  - name: all
    actions:
      - {name: secret, image: busybox, secrets: {TOKEN: T}, run: "env", continue_on_error: true}
      - {name: named, image: busybox, secrets: {OTHER: T}, run: "env", continue_on_error: true}
      - {name: hosts, hosts: web, run: "id", continue_on_error: true}
      - {name: here, runner: local, run: "id", continue_on_error: true}
      - {name: deploy, deploy: {to: web, strategy: rolling}, inputs: [], continue_on_error: true}
"""


def test_lesson_1_1_a_pipeline_of_a_branch_widens_nothing(repo):
    """It asks for all there is, and brings configurations of its own wherever one could be looked for."""
    repo.configure(GRANTS)
    own = '[local]\nenabled = true\n[secrets.OTHER]\nfile = "/etc/passwd"\n'
    files = dict.fromkeys(("config.toml", "pipeline/config.toml", ".pipeline/config.toml", "etc/config.toml"), own)
    repo.commit({**files, ".pipeline/release.yaml": GREEDY})
    repo.detached("HEAD:refs/heads/release-not-quite")
    found = actions(over(repo))
    assert {name: one["reason"] for name, one in found.items()} == dict.fromkeys(found, "policy")
    said = {name: one["message"] for name, one in found.items()}
    for name in ("secret", "hosts", "deploy"):
        assert "refs/heads/release-not-quite, which is not protected" in said[name]
    assert "secret OTHER is not given" in said["named"]  # and not whether there is one
    assert "not allowed here" in said["here"]
    assert all(one.get("secrets", []) == [] for one in found.values())


def test_lesson_1_1_an_approval_is_for_one_commit(tmp_path, keys):
    """Whoever approved the commit before has not approved what was pushed since."""
    repo = Steered(tmp_path, keys)
    try:
        repo.released(repo.stage("sign-off", repo.asked()), repo.stage("production"))
        repo.commit({"evil": "1"})
        repo.sign("approve/release/1/sign-off/alice", "HEAD", "alice", "fine")
        with pytest.raises(Refused, match="but release #1 runs"):
            repo.push("refs/tags/approve/release/1/sign-off/alice")
        assert repo.ran("production") == []
    finally:
        repo.end()


TOLD = """\
triggers: [{push: {branches: ["**"]}}, {push: {tags: ["**"]}}]
mode: parallel
stages:
  - name: tell
    actions:
      - name: here
        runner: local
        env: {LOOKED_UP: "${{ source.branch }}${{ source.tag }}"}
        outputs: [ref]
        run: |
          printf 'given %s\\n' "$PIPELINE_BRANCH$PIPELINE_TAG" "$LOOKED_UP"
          echo "ref=$LOOKED_UP" >> "$PIPELINE_OUTPUT"
      - name: after
        needs: [here]
        image: IMAGE
        env: {PASSED_ON: "${{ here.ref }}"}
        run: |
          printf 'contained %s\\n' "$PASSED_ON"
"""


def test_lesson_1_2_a_hostile_branch_is_only_a_name_all_the_way(repo, busybox):
    """Through hooks, variables, a shell here, one in a container, outputs, notes and the commands that people read."""
    repo.configure(CONFIG)
    repo.commit({".pipeline/release.yaml": TOLD.replace("IMAGE", busybox)})
    commit = repo.head
    refs = [f"refs/heads/{name}" for name in HOSTILE] + [f"refs/tags/{HOSTILE[0]}"]
    for ref in refs:
        repo.detached(f"{commit}:{ref}")
    for number, ref in enumerate(refs, 1):
        name = ref.split("/", 2)[2]
        record = over(repo, number)
        assert (record["status"], record["ref"]) == ("Succeeded", ref)
        assert actions(record)["here"]["outputs"] == {"ref": name}
    log = repo.note("refs/notes/pipeline-log", commit).decode()
    for name in HOSTILE:
        assert log.count(f"given {name}\n") == (4 if name == HOSTILE[0] else 2)
        assert f"contained {name}\n" in log
    repo.tidied()
    assert not [path for path in repo.root.rglob("*gotcha*") if "refs" not in path.parts and "logs" not in path.parts]


def test_lesson_1_5_an_image_that_moves_under_its_name_shows(repo, busybox, python_image):
    import docker

    client, name = docker.APIClient(version="auto"), f"git-pipeline-test/moved-{repo.root.name}".lower()
    pipeline = f"stages: [{{name: s, actions: [{{name: a, image: '{name}:1', run: 'echo x'}}]}}]\n"
    try:
        ran = []
        for number, image in enumerate((busybox, python_image, busybox), 1):
            client.tag(image, name, "1")
            repo.commit({".pipeline/release.yaml": pipeline, "n": str(number)})
            repo.detached()
            ran.append(actions(over(repo, number))["a"]["image"])
            assert client.inspect_image(image)["Id"].startswith("sha256:")
        assert all("sha256:" in image for image in ran)
        assert ran[0] == ran[2] != ran[1]
    finally:
        client.remove_image(f"{name}:1")
        client.close()


def test_lesson_1_18_a_secret_that_a_script_disguises(repo):
    """Twelve disguises, some of them written in two pieces; none comes out, on the disk or in git."""
    raw = SECRET.encode()
    shown = {
        "raw": SECRET,
        "base64": base64.b64encode(raw).decode(),
        "base64-1": base64.b64encode(b"x" + raw).decode(),
        "base64-2": base64.b64encode(b"xy" + raw + b"z").decode(),
        "urlsafe": base64.urlsafe_b64encode(b"user:" + raw).decode(),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "url": quote(SECRET, safe=""),
        "path": quote(SECRET),
        "json": json.dumps(SECRET)[1:-1],
        "utf8": json.dumps(SECRET, ensure_ascii=False)[1:-1],
        "slashes": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    }
    assert len(shown) == 12
    program = (
        "import base64, json, os, sys, time\nfrom urllib.parse import quote\n"
        "s = os.environ['T']; r = s.encode(); out = sys.stdout\n"
        "def b(x): return base64.b64encode(x).decode()\n"
        "forms = [s, b(r), b(b'x' + r), b(b'xy' + r + b'z'), base64.urlsafe_b64encode(b'user:' + r).decode(), r.hex(),\n"
        "  r.hex().upper(), quote(s, safe=''), quote(s), json.dumps(s)[1:-1], json.dumps(s, ensure_ascii=False)[1:-1],\n"
        "  json.dumps(s)[1:-1].replace('/', chr(92) + '/')]\n"
        "for at, form in enumerate(forms):\n"
        "    out.write('form %d: ' % at + form[: at + 2]); out.flush(); time.sleep(0.01); out.write(form[at + 2 :] + '\\n')\n"
        "    out.flush()\n"
    )
    repo.configure(f'{CONFIG}[secrets.TOKEN]\nfile = "token"\nunprotected = true\n')
    pipeline = "stages: [{name: s, actions: [{name: a, runner: local, secrets: {TOKEN: T}, run: python3 tell.py}]}]\n"
    repo.commit({".pipeline/release.yaml": pipeline, "tell.py": program})
    said = repo.push()
    record = over(repo)
    assert record["status"] == "Succeeded", said
    log = repo.note("refs/notes/pipeline-log", repo.head).decode()
    assert log.count("***") >= 12
    repo.tidied()
    kept = [path.read_bytes() for path in repo.directory.rglob("*") if path.is_file() and path.name != "token"]
    for text in (said, log, json.dumps(record), *(one.decode(errors="replace") for one in kept)):
        lines = [line for line in text.splitlines() if "form " in line]
        assert not [name for name, form in shown.items() if any(form in line for line in lines)]
        assert SECRET not in text
