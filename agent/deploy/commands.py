"""What is said to a host in short calls: what runs there, lock and unlock, take a release. Shell text, for sh, tar and find.

Every call may be made again. A release is `releases/<name>`, named by its content; `.deploy/` is ours: `lock/`, `in/` for what
is half made, `status` of what runs, `last` for what was installed last, `deployments/<id>/` for each one's result.
"""

from collections.abc import Iterable, Sequence
from shlex import quote

from agent.deploy import patch
from agent.deploy.hostlib import RUNNING
from agent.model.value import Value

HELD = 75  # exit code: somebody else has the lock
CUT = 74  # exit code: an upload did not come whole
UNLIKE = 76  # exit code: with the former release as it is there, this one cannot be made
# What an upload is made of: files of the release, new pieces of large ones and their digests, how the release is made of both
# and of the former one, and in the end a sign that it was not cut off.
FILES, PARTS, SUMS, STEPS, COMPLETE = "files", "parts", "parts/sums", "steps", "complete"
_APPSPEC = "--appspec--"
_RESULT = frozenset({"status", "event", "changed", "former", "message"})
_WORDS = 200  # paths that one command surely takes
# By the megabyte, else sshd and tar wait for each other at every packet; busybox's tar does not look at these options.
_UNTAR = "TAR_OPTIONS=--blocking-factor=2048 tar xof - -C"


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
BASE={quote(base)}
cd "$BASE" 2>/dev/null || exit 0
{RUNNING}
tell() {{ [ ! -f "$2" ] || while IFS= read -r line; do printf '%s%s\\n' "$1" "$line"; done < "$2"; }}
running
printf 'current=%s\\n' "$RUNNING"
for release in releases/*; do [ -d "$release" ] && printf 'release=%s\\n' "${{release##*/}}"; done
tell status. .deploy/status
tell slot= .deploy/slot
[ -f .deploy/lock/details ] && {{ read -r owner; read -r until; read -r label; }} < .deploy/lock/details &&
  printf 'lock=%s %s %s\\n' "$owner" "$until" "$label"
tell result. .deploy/deployments/{deployment}/result
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
    result = nested["result"] if nested["result"].keys() >= _RESULT else {}  # a crash may have left less
    return Standing(releases=tuple(releases), status=nested["status"], result=result, appspec=appspec, **plain)


def parse_result(text: str) -> dict[str, str]:
    """What the script of a deployment has put out at its end; empty if it has not."""
    found = dict(line.partition("=")[::2] for line in text.splitlines()[: len(_RESULT)])
    return found if found.keys() >= _RESULT else {}


def lock(base: str, owner: str, label: str, seconds: int) -> str:
    """Take the lock for so long, or renew it, and answer as `probe`; exits with HELD if another has it and its time is not over.

    The last line says who. The lock appears whole, by rename, so that a crash leaves none without an owner.
    """
    return f"""\
umask 022
probe() {{
{probe(base, owner)}}}
base={quote(base)}
[ -d "$base/.deploy/in" ] || mkdir -p "$base/releases" "$base/.deploy/deployments" "$base/.deploy/in" || exit 73
cd {quote(base)}/.deploy || exit 73
now=$(date +%s); mine=lock.$$
mkdir -p "$mine" deployments/{quote(owner)} || exit 73
printf '%s\\n%s\\n%s\\n' {quote(owner)} $((now + {seconds})) {quote(label)} > "$mine/details" || exit 73
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
    """Give the lock back, if it is still ours. A crash may leave it empty: whoever comes next renames theirs over that."""
    return f"""\
cd {quote(base)}/.deploy 2>/dev/null || exit 0
read -r owner < lock/details 2>/dev/null || exit 0
[ "$owner" = {quote(owner)} ] || exit 0
rm -rf lock
exit 0
"""


def receive(base: str, release: str, former: str = "", shared: Iterable[str] = ()) -> str:
    """Make a release of the tar on stdin, beside the files of `former`, by hard link, if there is one.

    Only a whole upload becomes a release. Exits with UNLIKE if that does not come out as it should; all of the release has to
    travel then. What lost connections have left half made goes away first, by rename: if it goes on there, it finds nothing.
    """
    shared = tuple(shared)
    return f"""\
cd {quote(base)} || exit 73
umask 022; in=$PWD/.deploy/in
for each in "$in"/*; do [ ! -e "$each" ] || mv -T "$each" "$in/.gone.${{each##*/}}"; done
set -- "$in"/.gone.*; [ ! -e "$1" ] || rm -rf "$@"
in=$in/{quote(release)}.$$
mkdir "$in" || exit 73
give_up() {{ rm -rf "$in"; [ -z "$2" ] || echo "$2"; exit "$1"; }}
whole() {{ # the exit code of tar
  [ "$1" = 0 ] || give_up 73
  [ -f "$in/{COMPLETE}" ] || give_up {CUT} 'the upload was cut off'
}}
{_beside(former, shared) if former else _ALONE}\
{"".join(_share(path) for path in shared)}\
[ -d releases/{quote(release)} ] || mv -T "$new" releases/{quote(release)} || give_up 73
rm -rf "$in"
"""


_ALONE = f"""\
new=$in/{FILES}
{_UNTAR} "$in"; whole $?
[ -d "$new" ] || mkdir "$new"
"""


def _beside(former: str, shared: Iterable[str]) -> str:
    links = "".join(f'rm -f "$new"/{quote(path.strip("/"))} 2>/dev/null\n' for path in shared)
    return f"""\
new=$in/new from=$PWD/releases/{quote(former)} parts=$in/{PARTS}
unlike() {{ give_up {UNLIKE} 'the former release is not what it was'; }}
cp -al "$from/." "$new" & links=$!
{_UNTAR} "$in"; code=$?
wait $links || unlike
whole $code
{links}[ ! -f "$in/{STEPS}" ] || ( cd "$new" && . "$in/{STEPS}" ) || unlike
[ ! -d "$in/{FILES}" ] || cp -al "$in/{FILES}/." "$new/" || unlike
"""


def steps(gone: Sequence[str], patches: str, *, empties: bool) -> str:
    """The file STEPS of an upload: removes what is gone, and directories that have nothing in them any more, and patches files.

    Exits other than with 0 if a file is not what it should be.
    """
    words = [quote(f"./{path}") for path in gone]
    removed = "".join(f"rm -f {' '.join(words[at : at + _WORDS])} || exit 1\n" for at in range(0, len(words), _WORDS))
    emptied = "find . -depth -type d -exec rmdir {} + 2>/dev/null\n" if empties else ""
    return removed + emptied + (patch.FUNCTIONS + patches + patch.CHECK if patches else ":\n")


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
