"""What is said to a host in short calls: what runs there, lock and unlock, take a release. Shell text, for sh, tar and find.

Every call may be made again. A release is `releases/<name>`, named by its content; `.deploy/` is ours: `lock/`, `in/` for what
is half made, `status` of what runs, `last` for what was installed last, `deployments/<id>/` for each one's result.
"""

from collections.abc import Iterable
from shlex import quote

from agent.deploy import patch
from agent.model.value import Value

COMPLETE = ".git-pipeline-complete"  # the last file of every upload: without it, it was cut off
HELD = 75  # exit code: somebody else has the lock
CUT = 74  # exit code: an upload did not come whole
UNLIKE = 76  # exit code: with the former release as it is there, this one cannot be made
SENT = ".git-pipeline-sent"  # a directory of an upload: what is not of the release but makes it
GONE, PATCH, SUMS = f"{SENT}/gone", f"{SENT}/patch", f"{SENT}/sums"
_APPSPEC = "--appspec--"
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
cd {quote(base)} 2>/dev/null || exit 0
tell() {{ [ ! -f "$2" ] || while IFS= read -r line; do printf '%s%s\\n' "$1" "$line"; done < "$2"; }}
current=$(readlink current 2>/dev/null)
printf 'current=%s\\n' "${{current##*/}}"
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
    return Standing(releases=tuple(releases), status=nested["status"], result=nested["result"], appspec=appspec, **plain)


def parse_result(text: str) -> dict[str, str]:
    """What the script of a deployment has put out at its end; empty if it has not."""
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    return found if found.keys() >= {"status", "event", "changed", "former", "message"} else {}


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
    """Give the lock back, if it is still ours. A crash may leave it empty: whoever comes next renames theirs over that."""
    return f"""\
cd {quote(base)}/.deploy 2>/dev/null || exit 0
read -r owner < lock/details 2>/dev/null || exit 0
[ "$owner" = {quote(owner)} ] || exit 0
rm -rf lock
exit 0
"""


def receive(base: str, release: str, shared: Iterable[str] = ()) -> str:
    """Unpack the tar on stdin; only a whole one becomes a release."""
    return f"""\
cd {quote(base)} || exit 73
{_fresh(release)}
mkdir -p "$new" || exit 73
{_UNTAR} "$new" || {{ rm -rf "$new"; exit 73; }}
[ -f "$new/{COMPLETE}" ] || {{ rm -rf "$new"; echo 'the upload was cut off'; exit {CUT}; }}
rm -f "$new/{COMPLETE}"
{_finished(release, shared)}"""


def renew(base: str, release: str, former: str, shared: Iterable[str] = (), *, empties: bool = True) -> str:
    """Unpack the tar on stdin beside the files of `former`, by hard link, without those that it says are gone.

    `empties`: directories that are empty then go, too. Exits with UNLIKE if that does not come out as it should; the whole
    release has to travel then.
    """
    shared = tuple(shared)
    links = "".join(f'rm -f "$new"/{quote(path.strip("/"))} 2>/dev/null\n' for path in shared)
    return f"""\
cd {quote(base)} || exit 73
{_fresh(release)}
sent=$new.sent from=$PWD/releases/{quote(former)}
parts=$PWD/$sent/{SENT}
unlike() {{ rm -rf "$new" "$sent"; echo 'the former release is not what it was'; exit {UNLIKE}; }}
mkdir -p "$new" "$sent" || exit 73
cp -al "$from/." "$new/" & links=$!
{_UNTAR} "$sent"; code=$?
wait $links || unlike
[ $code = 0 ] || {{ rm -rf "$new" "$sent"; exit 73; }}
[ -f "$sent/{COMPLETE}" ] || {{ rm -rf "$new" "$sent"; echo 'the upload was cut off'; exit {CUT}; }}
{links}if [ -s "$parts/gone" ]; then ( cd "$new" && xargs -0 rm -f -- < "$parts/gone" ) || unlike; fi
{'find "$new" -depth -type d -exec rmdir {} + 2>/dev/null; mkdir -p "$new"' if empties else ":"}
if [ -f "$parts/patch" ]; then ( cd "$new" && . "$parts/patch" ) || unlike; fi
cp -al "$sent/." "$new/" && rm -rf "$sent" "$new/{SENT}" "$new/{COMPLETE}" || unlike
{_finished(release, shared)}"""


def patch_text(text: str) -> str:
    """The file PATCH of an upload: puts files together, and exits other than with 0 if one is not what it should be."""
    return f"{patch.FUNCTIONS}{text}{patch.CHECK}"


def _fresh(release: str) -> str:
    """What a lost connection left half made is removed; if it goes on there it must not meet this one."""
    half = f".deploy/in/{quote(release)}"
    return f'umask 022; new={half}.$$; set -- {half}.*; [ ! -e "$1" ] || rm -rf "$@"'


def _finished(release: str, shared: Iterable[str]) -> str:
    return f"""\
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
    """The file GONE of an upload: paths with a NUL behind each."""
    return b"".join(path.encode(errors="surrogateescape") + b"\0" for path in paths)
