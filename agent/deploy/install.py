"""The Install event: clean up what the former deployment installed, copy, set permissions (codepipeline.md 4.3). Shell text.

Every path is written to the list of what to clean up before it is made, so that a deployment that dies half-way leaves nothing
unknown. Copies go through tar, hundreds of files a process; a file that stood there is replaced, never written into.
"""

import re
from collections.abc import Iterator
from shlex import quote

from agent.definition.deployment import Exists
from agent.deploy.appspec import AppSpec, Install, Permission

FUNCTIONS = r"""
clean_up() { # what the last deployment installed, deepest first; a directory only if it is empty
  [ -f "$STATE/cleanup" ] || return 0
  sed '1!G;h;$!d' "$STATE/cleanup" | while IFS= read -r path; do
    if [ -L "$path" ] || [ ! -d "$path" ]; then rm -f -- "$path"; else rmdir -- "$path" 2>/dev/null; fi
  done
  rm -f "$STATE/cleanup"
}

directory() { # make it and those above it, each written down first
  [ -d "$1" ] && return 0
  directory "$(dirname "$1")" || return 1
  printf '%s\n' "$1" >> "$STATE/cleanup" || return 1
  printf '%s\n' "$1" >> "$HERE/directories"
  mkdir -- "$1" || { WHY="$EVENT: directory $1 cannot be made"; return 1; }
}

one_by_one() { # destination: for a tar that takes no list
  while IFS= read -r path; do rm -f -- "$1/${path#./}" && cp -a -- "$path" "$1/${path#./}" || return 1; done
}

copy_files() { # source destination behaviour
  from=$RELEASE${1:+/$1}
  [ -e "$from" ] || [ -L "$from" ] || { WHY="$EVENT: the revision has no $1"; return 1; }
  if [ -d "$from" ] && [ ! -L "$from" ]; then root=$from; only=.; else root=$(dirname "$from"); only=./$(basename "$from"); fi
  cd "$root" || return 1
  directory "$2" || return 1
  find "$only" -type d ! -name . > "$HERE/wanted"
  while IFS= read -r path; do directory "$2/${path#./}" || return 1; done < "$HERE/wanted"
  find "$only" ! -type d > "$HERE/wanted"; : > "$HERE/copies"
  while IFS= read -r path; do
    target=$2/${path#./}
    if [ -e "$target" ] || [ -L "$target" ]; then
      case $3 in
        RETAIN) continue;;
        DISALLOW) WHY="$EVENT: $target exists and was not installed by the last deployment (file_exists_behavior)"; return 1;;
      esac
    fi
    printf '%s\n' "$path" >> "$HERE/copies"
    printf '%s\n' "$target" >> "$HERE/targets"
  done < "$HERE/wanted"
  [ -s "$HERE/copies" ] || return 0
  while IFS= read -r path; do printf '%s\n' "$2/${path#./}"; done < "$HERE/copies" >> "$STATE/cleanup" || return 1
  if tar cf /dev/null -T /dev/null 2> /dev/null; then
    tar cf - -T "$HERE/copies" > "$HERE/copies.tar" && tar xpf "$HERE/copies.tar" -C "$2" && rm -f "$HERE/copies.tar" && return 0
  else
    one_by_one "$2" < "$HERE/copies" && return 0
  fi
  rm -f "$HERE/copies.tar"; WHY="$EVENT: the files cannot be copied to $2"; return 1
}

matching() { # regular-expression list: of what was installed just now
  cat "$HERE/$2" 2>/dev/null | grep -E -e "$1"
}

has_acls() { command -v setfacl > /dev/null || fail "$EVENT: \`acls\` need setfacl (package acl), which the host does not have"; }
has_contexts() {
  [ -e /sys/fs/selinux/enforce ] && command -v chcon > /dev/null ||
    fail "$EVENT: \`context\` needs SELinux, which is not in use on the host"
}

apply() { # words of a command, to each path on standard input
  tr '\n' '\0' | xargs -0 -r "$@" || { WHY="$EVENT: $* failed"; return 1; }
}
"""


def lines(spec: AppSpec, exists: Exists) -> Iterator[str]:
    """The commands of the event; WHY says what failed."""
    yield FUNCTIONS
    yield 'rm -f "$HERE/targets" "$HERE/directories"; clean_up'
    for entry in spec.files:
        yield f'copy_files {_words(entry)} {exists} || fail "$WHY"'
    for permission in spec.permissions:
        yield from _permission(permission)


def _words(entry: Install) -> str:
    return f"{quote(entry.source)} {quote(entry.destination)}"


def _permission(permission: Permission) -> Iterator[str]:
    chosen = "$HERE/chosen"
    if permission.acls:
        yield "has_acls"
    if permission.context:
        yield "has_contexts"
    yield f': > "{chosen}"'
    for kind in permission.types:
        listed = "targets" if kind == "file" else "directories"
        found = f"matching {quote(_wanted(permission, kind))} {listed}"
        unless = f" | grep -v -E -e {quote(_unwanted(permission))}" if permission.excepts else ""
        yield f'{{ {found}{unless}; }} >> "{chosen}"'
    for command in _changes(permission):
        yield f'apply {" ".join(map(quote, command))} < "{chosen}" || fail "$WHY"'


def _changes(permission: Permission) -> Iterator[tuple[str, ...]]:
    if permission.owner or permission.group:
        yield ("chown", "-h", f"{permission.owner}:{permission.group}" if permission.group else permission.owner, "--")
    if permission.mode:
        yield ("chmod", permission.mode, "--")
    if permission.acls:
        yield ("setfacl", "-b", "-m", ",".join(permission.acls), "--")
    if permission.context:
        flags = {"user": "-u", "type": "-t", "range": "-l"}
        yield ("chcon", *(word for key, value in permission.context.items() for word in (flags[key], value)), "--")


def _wanted(permission: Permission, kind: str) -> str:
    """Of the object itself if it is a file, or of what is below it and matches."""
    start = "" if permission.object == "/" else _literal(permission.object)
    if permission.pattern == "**":
        return f"^{start}(/.*)?$" if kind == "file" else f"^{start}/.*$"
    return f"^{start}/{_glob(permission.pattern)}$"


def _unwanted(permission: Permission) -> str:
    start = "" if permission.object == "/" else _literal(permission.object)
    return f"^{start}/({'|'.join(_glob(pattern) for pattern in permission.excepts)})$"


def _glob(pattern: str) -> str:
    return "".join("[^/]*" if character == "*" else _literal(character) for character in pattern)


def _literal(text: str) -> str:
    return re.sub(r"([].[*^$()+?{}|\\])", r"\\\1", text)
