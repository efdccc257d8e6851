"""The functions of a deployment's script, for any POSIX sh (dash, busybox)."""

RUNNING = r"""
running() { # in RUNNING: the release that `current` leads to; without a program
  RUNNING=
  [ ! -h "$BASE/current" ] || RUNNING=$(cd "$BASE/current" 2>/dev/null && pwd -P)
  RUNNING=${RUNNING##*/}
}
"""

LIBRARY = (
    RUNNING
    + r"""
umask 022
STATE=$BASE/.deploy
HERE=$STATE/deployments/$DEPLOYMENT
EVENT= CHANGED=0 SWITCHED_TO= WHY= SLOT= OTHER= PORT= OTHER_PORT=
[ -d "$HERE" ] || mkdir -p "$HERE" 2>/dev/null
if [ -f "$HERE/former" ]; then read -r FORMER < "$HERE/former"; else
  running
  FORMER=$RUNNING
  printf '%s\n' "$FORMER" > "$HERE/former"
fi

event() {
  EVENT=$1; case $1 in before|BeforeInstall|slot) ;; *) CHANGED=1;; esac
  printf '\036%s\n' "$1"
}

finish() { # status message
  message=$2
  [ -z "$message" ] || message=$(printf '%s' "$2" | tr '\n' ' ')
  result() { printf 'status=%s\nevent=%s\nchanged=%s\nformer=%s\nmessage=%s\n' "$1" "$EVENT" "$CHANGED" "$FORMER" "$message"; }
  put_out() { if [ -n "$PIPELINE_OUTPUT" ]; then result "$1" > "$PIPELINE_OUTPUT"; else printf '\036\n'; result "$1"; fi; }
  result "$1" > "$HERE/result" && put_out "$1"
  if [ "$CHANGED" = 1 ] && [ -z "$ONLY" ]; then
    if [ -n "$SWITCHED_TO" ]; then RUNNING=$SWITCHED_TO; else running; fi
    printf 'release=%s\ndeployment=%s\nstatus=%s\nlabel=%s\ncommit=%s\nshared=%s\nat=%s\n' "$RUNNING" "$DEPLOYMENT" "$1" \
      "$LABEL" "$COMMIT" "$SHARED" "$(date +%s)" > "$STATE/status.t" && mv -f "$STATE/status.t" "$STATE/status"
  fi
  [ "$1" = succeeded ] && exit 0
  exit 1
}

fail() { echo "$1"; finish failed "$1"; }

tolerate() { echo "$1; this does not block the new revision (ignore_stop_failure)"; }

theirs() { # event slot port socket: the job's variables as they were given, whatever is called so here, then those that we tell
  if [ -f "${0%/*}/environment" ]; then set -a; . "${0%/*}/environment"; set +a; fi
  told
  [ -z "$1" ] || export LIFECYCLE_EVENT="$1"
  [ -z "$2" ] || export SLOT="$2" PORT="$3" SOCKET="$4"
}

limited() { # seconds command...: in a process group of its own, which is ended when the time is over
  [ ! -e "$HERE/late" ] || rm -f "$HERE/late"
  seconds=$1; shift
  # What a script starts is to live on: it does not carry the mark by which the end of a job is the end of all that it started.
  ( unset PIPELINE_JOB; theirs "$EVENT" "$SLOT" "$PORT" "$SOCKET"; exec setsid "$@" < /dev/null ) & child=$!
  ( waited=0
    while [ "$waited" -lt "$seconds" ]; do sleep 1; kill -0 "$child" 2>/dev/null || exit 0; waited=$((waited + 1)); done
    : > "$HERE/late"; kill -TERM "-$child"; sleep 2; kill -KILL "-$child" ) > /dev/null 2>&1 &
  watch=$!
  code=129
  while :; do wait "$child"; code=$?; kill -0 "$child" 2>/dev/null || break; done
  if [ -f "$HERE/late" ]; then kill -KILL "-$child" 2>/dev/null; WHY="did not end within $seconds s"; code=124; fi
  child=; kill -KILL "$watch" 2>/dev/null; wait "$watch" 2>/dev/null # who was only just made may not hear a TERM
  return "$code"
}

child=
cut_short() { # somebody stops the deployment, or its time is over
  trap '' TERM
  if [ -n "$child" ]; then
    kill -TERM "-$child" 2>/dev/null; waited=0
    while kill -0 "-$child" 2>/dev/null && [ "$waited" -lt 3 ]; do sleep 1; waited=$((waited + 1)); done
    kill -KILL "-$child" 2>/dev/null
  fi
  finish failed "$EVENT was stopped"
}
trap cut_short TERM

in_directory() { # directory seconds text
  [ -d "$1" ] || mkdir -p "$1"
  cd "$1" || { WHY="$1 cannot be entered"; return 1; }
  WHY=; limited "$2" sh -e -c "$3" && return 0
  WHY="$EVENT ${WHY:-ended with exit code $code}"; return 1
}

hook() { # directory location seconds user sudo
  [ -f "$1/$2" ] || { WHY="$EVENT: script $2 is missing"; return 1; }
  [ -x "$1/$2" ] || chmod +x "$1/$2" 2>/dev/null || { WHY="$EVENT: script $2 is not executable"; return 1; }
  cd "$1" || return 1
  echo "Script - $2"; WHY=
  if [ -n "$4" ] && [ "$4" != "$(id -un)" ]; then
    limited "$3" su -s /bin/sh "$4" -c 'exec "$0"' "$1/$2" && return 0
  elif [ -n "$5" ] && [ "$(id -u)" != 0 ]; then
    limited "$3" sudo -n "$1/$2" && return 0
  else
    limited "$3" "$1/$2" && return 0
  fi
  WHY="$EVENT: script $2 ${WHY:-ended with exit code $code}"; return 1
}

point() { # link target: by rename, so that it leads somewhere at any moment
  ln -s "$2" "$1.$$" && mv -T "$1.$$" "$1"
}

switch() { # releases go by the time when they were switched to, or unpacked
  point "$BASE/current" "releases/$NAME" && SWITCHED_TO=$NAME || return 1
  [ "$BASE/releases/$NAME" -nt "$STATE/status" ] || touch "$BASE/releases/$NAME"
}

installed() { printf '%s\n%s\n' "$NAME" "$1" > "$STATE/last.t" && mv -f "$STATE/last.t" "$STATE/last"; }

slots() { # name port name port
  active=$(cat "$STATE/slot" 2>/dev/null)
  if [ "$active" = "$1" ]; then SLOT=$3 PORT=$4 OTHER=$1 OTHER_PORT=$2; else SLOT=$1 PORT=$2 OTHER=$3 OTHER_PORT=$4; fi
  [ -n "$active" ] || OTHER=
  slot "$SLOT" "$PORT"
}

slot() { SLOT=$1 PORT=$2 SOCKET=$BASE/slots/$1.sock; } # name port

occupy() { mkdir -p "$BASE/slots" && rm -f "$SOCKET" && point "$BASE/slots/$SLOT" "../releases/$NAME"; }

take_over() {
  point "$BASE/current.sock" "slots/$SLOT.sock" || return 1
  printf '%s\n' "$SLOT" > "$STATE/slot.t" && mv -f "$STATE/slot.t" "$STATE/slot"
}

more_than() { [ $(($# - 1)) -gt "$1" ]; }

prune() { # how many to keep; what runs, ran before, or is installed stays whatever its age
  cd "$STATE/deployments" || return 0
  more_than 30 * && ls -1t | tail -n +31 | while read -r old; do rm -rf -- "$old"; done
  cd "$BASE/releases" || return 0
  more_than "$1" * || { cd "$BASE"; return 0; }
  last=; [ ! -f "$STATE/last" ] || read -r last < "$STATE/last"
  ls -1t | tail -n "+$(($1 + 1))" | while read -r old; do
    [ "$old" = "$NAME" ] || [ "$old" = "$FORMER" ] || [ "$old" = "$last" ] || rm -rf -- "$old"
  done
  cd "$BASE" || return 0
}

retry() { # times seconds check...
  left=$1; pause=$2; shift 2
  while ! "$@"; do
    left=$((left - 1)); [ "$left" -gt 0 ] || return 1
    sleep "$pause"
  done
}

check_command() { # directory seconds text
  cd "$1" || { WHY="$1 cannot be entered"; return 1; }
  WHY=; limited "$2" sh -c "$3" && return 0
  WHY=${WHY:-"the command ended with exit code $code"}; return 1
}

check_port() {
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") [0-9A-F:]* 0A " && return 0
  WHY="nobody listens on port $1"; return 1
}

check_url() { # url seconds
  status=
  if command -v curl > /dev/null; then status=$(curl -s -o /dev/null -m "$2" -w '%{http_code}' "$1" 2>/dev/null)
  elif command -v wget > /dev/null; then
    status=$(wget -q -T "$2" -S -O /dev/null "$1" 2>&1 | sed -n 's/^ *HTTP\/[0-9.]* \([0-9]*\).*/\1/p' | tail -n 1)
  elif command -v python3 > /dev/null; then status=$(python3 -c '
import sys, urllib.error, urllib.request
try: print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).status)
except urllib.error.HTTPError as error: print(error.code)
except OSError: pass' "$1" "$2")
  else WHY="the host has neither curl, wget nor python3 to ask $1; use command or port"; return 1
  fi
  case $status in 2??|3??) return 0;; ''|000) WHY="no answer from $1"; return 1;; esac
  WHY=$status; return 1
}
"""
)
