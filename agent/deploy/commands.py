"""What is said to a host in short calls: what runs there, lock and unlock, take a release. Shell text, for sh, tar and find.

Every call may be made again. A release is `releases/<name>`, named by its content; `.deploy/` is ours: `lock/`, `in/` for what
is half made, `status` of what runs, `last` for what was installed last, `deployments/<id>/` for each one's result.
"""

from collections.abc import Iterable
from shlex import quote

from agent.model.value import Value

COMPLETE = ".git-pipeline-complete"  # the last file of every upload: without it, it was cut off
HELD = 75  # exit code: somebody else has the lock
CUT = 74  # exit code: an upload did not come whole
_APPSPEC = "--appspec--"


class Standing(Value, frozen=True, kw_only=True):
    """What a host says of itself. `result` is what a deployment that has ended there has left, if it has."""

    current: str = ""  # release
    releases: tuple[str, ...] = ()
    status: dict[str, str] = {}  # release, deployment, status, label, commit, shared, at
    last: str = ""  # the release whose files were installed last
    result: dict[str, str] = {}  # status, event, changed, former, message
    slot: str = ""
    lock: str = ""
    appspec: str = ""  # the text of the last installed release's


def probe(base: str, deployment: str) -> str:
    """Ask what is there; answered on standard output for `parse_probe`."""
    return f"""\
cd {quote(base)} 2>/dev/null || exit 0
current=$(readlink current 2>/dev/null)
printf 'current=%s\\n' "${{current##*/}}"
for release in releases/*; do [ -d "$release" ] && printf 'release=%s\\n' "${{release##*/}}"; done
[ -f .deploy/status ] && sed 's/^/status./' .deploy/status
[ -f .deploy/slot ] && printf 'slot=%s\\n' "$(cat .deploy/slot)"
[ -f .deploy/lock/details ] && printf 'lock=%s\\n' "$(tr '\\n' ' ' < .deploy/lock/details)"
[ -f .deploy/deployments/{deployment}/result ] && sed 's/^/result./' .deploy/deployments/{deployment}/result
if [ -f .deploy/last ]; then
  {{ read -r last; read -r spec; }} < .deploy/last
  printf 'last=%s\\n' "$last"
  if [ -n "$spec" ] && [ -f "releases/$last/$spec" ]; then echo '{_APPSPEC}'; cat "releases/$last/$spec"; fi
fi
exit 0
"""


def parse_probe(text: str) -> Standing:
    """Read the answer of `probe`; lines that are not of it (a banner of the host) do not matter."""
    head, _, appspec = text.partition(f"{_APPSPEC}\n")
    plain: dict[str, str] = {}
    releases: list[str] = []
    nested: dict[str, dict[str, str]] = {"status": {}, "result": {}}
    for line in head.split("\n"):
        key, equals, value = line.partition("=")
        outer, dot, inner = key.partition(".")
        if key == "release":
            releases.append(value)
        elif dot and outer in nested:
            nested[outer][inner] = value
        elif equals and key in {"current", "last", "slot", "lock"}:
            plain[key] = value
    return Standing(releases=tuple(releases), status=nested["status"], result=nested["result"], appspec=appspec, **plain)


def lock(base: str, owner: str, label: str, seconds: int) -> str:
    """Take the lock for so long, or renew it, and answer as `probe`; exits with HELD if another has it and its time is not over.

    The last line says who. The lock appears whole, by rename, so that a crash leaves none without an owner.
    """
    return f"""\
umask 022
probe() {{
{probe(base, owner)}}}
mkdir -p {quote(base)}/.deploy/in {quote(base)}/.deploy/deployments {quote(base)}/releases || exit 73
cd {quote(base)}/.deploy || exit 73
now=$(date +%s); mine=lock.$$
mkdir "$mine" && printf '%s\\n%s\\n%s\\n' {quote(owner)} $((now + {seconds})) {quote(label)} > "$mine/details" || exit 73
take() {{ mv -T "$mine" lock 2>/dev/null; }}
take && probe
{{ read -r owner; read -r until; read -r label; }} < lock/details
if [ "$owner" = {quote(owner)} ]; then mv -f "$mine/details" lock/details; rmdir "$mine"; probe; fi
if [ "${{until:-0}}" -lt "$now" ] && mv -T lock "stale.$$"; then
  {{ read -r found; read -r until; }} < "stale.$$/details"
  if [ "$found" = "$owner" ] && [ "$until" -lt "$now" ]; then
    rm -rf "stale.$$"; take && probe
  else
    mv -T "stale.$$" lock
  fi
fi
rm -rf "$mine"
printf 'held by %s for another %s s\\n' "$label" $((until - now))
exit {HELD}
"""


def unwell(base: str, deployment: str) -> str:
    """What this deployment left running has turned out not to be well."""
    return f"""\
cd {quote(base)}/.deploy 2>/dev/null || exit 0
grep -qxF deployment={quote(deployment)} status || exit 0
sed 's/^status=.*/status=failed/' status > status.t && mv -f status.t status
"""


def unlock(base: str, owner: str) -> str:
    """Give the lock back, if it is still ours."""
    return f"""\
cd {quote(base)}/.deploy 2>/dev/null || exit 0
read -r owner < lock/details 2>/dev/null || exit 0
[ "$owner" = {quote(owner)} ] || exit 0
mv -T lock "stale.$$" && rm -rf "stale.$$"
exit 0
"""


def stage(base: str, release: str, former: str, shared: Iterable[str] = (), *, empties: bool = True) -> str:
    """Prepare `in/<release>` with the files of `former` by hard link, but for the NUL-ended list on stdin.

    `empties`: directories that are empty then go, too.
    """
    links = "".join(f'rm -f "$new"/{quote(path.strip("/"))} 2>/dev/null\n' for path in shared)
    return f"""\
cd {quote(base)} || exit 73
new=.deploy/in/{quote(release)}
rm -rf "$new" && mkdir -p "$new" && cp -al releases/{quote(former)}/. "$new/" || exit 73
{links}cat > "$new.gone" && cd "$new" || exit 73
xargs -0 rm -f -- < "../"{quote(release)}.gone || exit 73
rm -f "../"{quote(release)}.gone
{"find . -depth -type d -exec rmdir {} + 2>/dev/null" if empties else ":"}
exit 0
"""


def receive(base: str, release: str, former: str, shared: Iterable[str] = ()) -> str:
    """Unpack the tar on stdin, over what `stage` prepared from `former` if there is one; only a whole one becomes a release."""
    return f"""\
cd {quote(base)} || exit 73
new=.deploy/in/{quote(release)}
umask 022
{":" if former else 'rm -rf "$new" && mkdir -p "$new" || exit 73'}
tar xof - -C "$new" || {{ rm -rf "$new"; exit 73; }}
[ -f "$new/{COMPLETE}" ] || {{ rm -rf "$new"; echo 'the upload was cut off'; exit {CUT}; }}
rm -f "$new/{COMPLETE}"
{"".join(_share(path) for path in shared)}\
[ -d releases/{quote(release)} ] && {{ rm -rf "$new"; exit 0; }}
mv -T "$new" releases/{quote(release)} || exit 73
"""


def _share(path: str) -> str:
    """A shared path leads to <path>/shared/…; what the release has there is where it starts from, the first time."""
    clean = path.strip("/")
    up = "../" * (clean.count("/") + 2)
    where, inside = quote(f"shared/{clean}"), quote(clean)
    parent = quote(clean.rpartition("/")[0] or ".")
    return f"""\
mkdir -p shared/{parent} "$new"/{parent}
if [ ! -e {where} ]; then
  if [ -e "$new"/{inside} ] && [ ! -L "$new"/{inside} ]; then cp -a "$new"/{inside} {where}; else mkdir -p {where}; fi
fi
rm -rf "$new"/{inside}
ln -s {quote(f"{up}shared/{clean}")} "$new"/{inside} || exit 73
"""


def gone_list(paths: Iterable[str]) -> bytes:
    """What `stage` reads on standard input: paths with a NUL behind each."""
    return b"".join(path.encode(errors="surrogateescape") + b"\0" for path in paths)
