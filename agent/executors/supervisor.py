"""The shell script that stands beside every job on a host, so that the job does not need us while it runs.

It is put on the host once, under its own digest, and asked by one command each: `put`, `go`, `end`, ... A job is a
directory: `workspace`, `control` and `secrets` are the job's own, `run` is ours (script, environment, log, process, status).
Asked with the same words twice it does the same thing once.
"""

from hashlib import sha256
from typing import NamedTuple

OWNED = "owner"  # in `run`: the repository's identity and the execution
OUTPUT = "output"  # in `control`: what the job puts out
MOST = 1024**2 + 1  # bytes of it that are handed on
MARK = "PIPELINE_JOB"  # in the environment of all that a job starts, between slashes

# Tells where jobs live; a home that cannot be written is replaced by a directory of our own under /tmp.
HELLO = r"""
umask 077
root=${HOME:-/nonexistent}/.git-pipeline
[ -d "$root/jobs" ] && [ -d "$root/bin" ] || mkdir -p "$root/jobs" "$root/bin" 2>/dev/null
if ! [ -d "$root/bin" ] || ! [ -w "$root/jobs" ]; then
  root=/tmp/git-pipeline-$(id -u)
  mkdir "$root" 2>/dev/null
  [ -d "$root" ] && [ ! -h "$root" ] && [ -O "$root" ] && mkdir -p "$root/jobs" "$root/bin" ||
    { echo "no place for jobs" >&2; exit 1; }
fi
cd "$root" && root=$(pwd -P) || exit 1
memory=
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
  case ${LOGNAME:-/} in *[!A-Za-z0-9._-]*) user=$(id -u) ;; *) user=$LOGNAME ;; esac
  memory=/dev/shm/git-pipeline-$user
  [ -d "$memory" ] || mkdir "$memory" 2>/dev/null
  [ -d "$memory" ] && [ ! -h "$memory" ] && [ -O "$memory" ] || memory=
fi
echo "root $root"
echo "memory $memory"
if [ -r /proc/uptime ]; then read -r up rest </proc/uptime; echo "uptime ${up%%.*}"; fi
[ -s "$root/bin/@NAME@" ] && echo "ready @NAME@"
exit 0
"""

SCRIPT = (
    r"""# git-pipeline: keeps one job, so that it neither ends nor runs again when a connection does
do=$1 id=$2
root=${0%/bin/*}
dir=$root/jobs/$id run=$root/jobs/$id/run
case $id in ''|.*|*[!A-Za-z0-9._-]*) [ "$do" = sweep ] || exit 64 ;; esac

# Functions that are asked again and again answer in a variable: a process for each answer would cost more than the question.
birth() { # in `birth`: when a process started, in ticks; nothing for a zombie or nobody
  birth=
  if [ -r /proc/self/stat ]; then
    { read -r stat </proc/"$1"/stat; } 2>/dev/null || return 1
    set -- ${stat##*) }
    case $1 in Z|X) return 1 ;; esac
    birth=${20}
  else kill -0 "$1" 2>/dev/null && birth=0; fi
}
group_of() { { read -r stat </proc/"$1"/stat; } 2>/dev/null || return 1; set -- ${stat##*) }; echo "$3"; }
boot() { { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || boot=none; }
nap() { sleep "$1" 2>/dev/null || sleep 1; }
size() { size=0; [ ! -s "$run/log" ] || size=$(($(wc -c <"$run/log"))); } # in `size`
alive() { # the supervisor is
  { read -r pid born when <"$run/supervisor"; } 2>/dev/null || return 1
  boot; birth "$pid"
  [ "$when" = "$boot" ] && [ "$birth" = "$born" ]
}
holders() { # environments with these words; busybox's grep sees only the first variable without -z, and may not have -z
  printf 'x\0%s' "$1" >"$run/mark" # who finds it here finds it there
  found=$(grep -lszF "$1" "$run/mark" /proc/[0-9]*/environ)
  case $found in
  "$run/mark"*) echo "${found#"$run/mark"}" ;;
  *) for each in /proc/[0-9]*/environ; do tr '\0' '\n' <"$each" | grep -qF "$1" && echo "$each"; done ;;
  esac 2>/dev/null
}
marked() { # processes of the job, wherever they went
  for file in $(holders "@MARK@=/$id/" 2>/dev/null); do
    file=${file#/proc/}; file=${file%/environ}
    [ "$file" = $$ ] || echo "$file"
  done
}
signal() { # all of the job, each process once; true if somebody still carries its mark
  rest='' leader=''
  if { read -r group born when <"$run/group"; } 2>/dev/null && boot && [ "$when" = "$boot" ]; then
    birth "$group" # nothing: its members alone keep the number; something else: the number is another's by now
    case $birth in ''|"$born") leader=$group ;; esac
  fi
  [ -z "$leader" ] || kill -"$1" -"$leader" 2>/dev/null
  found=$(marked)
  for each in $found; do [ "$(group_of "$each")" = "${leader:-none}" ] || rest="$rest $each"; done
  [ -z "$rest" ] || kill -"$1" $rest 2>/dev/null
  [ -n "$found" ]
}
slay() { n=0; while signal KILL && [ $n -lt 200 ]; do n=$((n + 1)); [ $n -lt 5 ] || nap 0.05; done; }
state() { # in `was`, without a process
  if [ -e "$run/status" ]; then read -r was <"$run/status"
  elif [ ! -d "$run" ]; then was=NONE
  elif [ ! -d "$run/claim" ]; then was=STAGED
  elif [ ! -s "$run/supervisor" ]; then was=CLAIMED # asked before it is looked for: it may come in between
  elif alive; then was=RUN
  elif [ -e "$run/status" ]; then read -r was <"$run/status"
  else was=LOST; fi
}
seconds() { # the time, in `time`; mostly without a process
  if [ -r /proc/uptime ]; then read -r time rest </proc/uptime; time=${time%%.*}; else time=$(date +%s); fi
}
follow() { # the log to standard output; in the end the state to the other, with what the job has put out in front of it
  off=$1 now=$1 idle=0 late=0 seen=$run/seen.$$
  seconds; until=$((time + $2))
  while :; do
    state
    case $was in
    EXIT*) now=${was#EXIT * }; now=${now%% *} ;; # it was counted already
    LOST) size; now=$size ;;
    *) # counted only if it may have grown: to look when it was written takes no process; a clock set back costs some looks
      if ! [ "$seen" -nt "$run/log" ] || [ $((idle % 16)) = 15 ]; then
        printf '' 2>/dev/null >"$seen"
        size; now=$size
      fi ;;
    esac
    if [ "$now" -gt "$off" ]; then
      if [ "$off" = 0 ]; then head -c "$now" "$run/log" || exit 1
      else tail -c +$((off + 1)) "$run/log" | head -c $((now - off)) || exit 1; fi
      off=$now idle=0
    fi
    case $was in
    RUN*) ;;
    CLAIMED) late=$((late + 1)); [ $late -lt 150 ] || { echo "LOST $off" >&2; return; } ;;
    EXIT*) put_out >&2; echo "$was $put" >&2; return ;;
    LOST) echo "LOST $now" >&2; return ;;
    *) echo "$was" >&2; return ;;
    esac
    seconds; [ "$time" -lt $until ] || { echo "RUN $off" >&2; return; }
    idle=$((idle + 1))
    if [ $idle -gt 100 ]; then nap 0.5; elif [ $idle -gt 30 ]; then nap 0.2
    elif [ $idle -gt 6 ]; then nap 0.05; elif [ $idle -gt 2 ]; then nap 0.02; else nap 0.01; fi
  done
}
put_out() { # the output file and an end of line; its bytes are counted in `put`
  put=0 file=$dir/control/@OUTPUT@
  [ -s "$file" ] && [ -f "$file" ] && [ ! -h "$file" ] || return 0
  put=$(($(wc -c <"$file")))
  [ $put -le @MOST@ ] || put=@MOST@
  head -c $put "$file"
  echo
}
apart() { if [ -n "$setsid" ]; then exec setsid "$@"; else exec "$@"; fi; } # in a session of its own, or at least a group
setsid=
if command -v setsid >/dev/null; then setsid=yes; else set -m; fi

case $do in
put) # a tar of `workspace`, `control` and `run`
  umask 077
  [ -d "$dir" ] || mkdir -p "$dir" || exit 1
  [ ! -d "$run/claim" ] || { cat >/dev/null; echo EXISTS; exit 0; }
  umask 022
  cd "$dir" && tar xof - || exit 1
  echo PUT ;;
secrets) # $3: where; a tar of files
  [ ! -d "$run/claim" ] || { cat >/dev/null; echo EXISTS; exit 0; }
  umask 077
  mkdir -p "$3" && cd "$3" && tar xof - && printf '%s\n' "$3" >"$run/secrets" && echo PUT ;;
go) # starts it unless somebody has, and follows; $3: from which byte; $4: seconds at most; $5: seconds it may take; $6: of grace
  if [ -d "$run" ] && mkdir "$run/claim" 2>/dev/null; then
    ( apart sh "$0" supervise "$id" "$5" "$6" ) </dev/null >/dev/null 2>&1 &
  fi
  follow "$3" "$4" ;;
supervise)
  cd "$run" || exit 1
  birth $$; boot
  echo "$$ $birth $boot" >supervisor || exit 1 # empty, or all of it
  : >>log
  ( trap 'kill $nap; exit' TERM; sleep "$3" & nap=$!; wait $nap && { : >late; exec sh "$0" end "$id" "$4"; } ) >/dev/null 2>&1 &
  dog=$!
  trap : TERM INT HUP # not before: who was only just made may not hear a signal that is caught here
  ( export @MARK@="/$id/"; apart sh "$0" job "$id" ) </dev/null >>log 2>&1 &
  job=$!
  birth $job
  echo "$job ${birth:--} $boot" >group
  while :; do wait $job; code=$?; kill -0 $job 2>/dev/null || break; done
  slay
  kill $dog 2>/dev/null
  if [ -e secrets ]; then rm -rf "$(cat secrets)"; fi
  why=exit; [ ! -e late ] || why=late
  size
  echo "EXIT $code $size $why" >status.new && mv status.new status ;;
job)
  set -- "$run" # as a variable of the job may have any name
  set -a
  . "$1/environment"
  set +a
  . "$1/command" ;;
state)
  state
  case $was in RUN|LOST) size; echo "$was $size" ;; *) echo "$was" ;; esac ;;
end) # $3: seconds from TERM to KILL; goes on without us
  [ -d "$run" ] || { echo NONE; exit 0; }
  mkdir "$run/claim" 2>/dev/null # whoever comes late to start it finds it taken
  ( apart sh "$0" ending "$id" "$3" ) </dev/null >/dev/null 2>&1 &
  echo ENDING ;;
ending)
  signal TERM
  n=0; while [ ! -e "$run/status" ] && [ $n -lt $(($3 * 10)) ]; do n=$((n + 1)); nap 0.1; done
  [ -e "$run/status" ] || slay ;;
kill) [ ! -d "$run" ] || mkdir "$run/claim" 2>/dev/null; slay; echo KILLED ;;
discard)
  [ -d "$dir" ] || { echo NONE; exit 0; }
  mkdir -p "$run/claim"
  if [ ! -e "$run/status" ]; then # else nobody is left: the supervisor writes it last
    n=0
    while slay; alive && [ $n -lt 100 ]; do n=$((n + 1)); nap 0.05; done
    slay
  fi
  if [ -e "$run/secrets" ]; then rm -rf "$(cat "$run/secrets")"; fi
  rm -rf "$dir" 2>/dev/null || { chmod -R u+rwx "$dir" && rm -rf "$dir"; }
  echo GONE ;;
sweep) # $2: whose; the executions to keep come as lines
  keep=" $(tr '\n' ' ') "
  for each in "$root"/jobs/*/run/@OWNED@; do
    { read -r who execution <"$each"; } 2>/dev/null || continue
    case $keep in *" $execution "*) continue ;; esac
    [ "$who" = "$id" ] || continue
    job=${each%/run/@OWNED@}; job=${job##*/}
    sh "$0" discard "$job" >/dev/null && echo "$job $execution"
  done ;;
*) exit 64 ;;
esac
""".replace("@MARK@", MARK)
    .replace("@OWNED@", OWNED)
    .replace("@OUTPUT@", OUTPUT)
    .replace("@MOST@", str(MOST))
)

NAME = f"supervisor-{sha256(SCRIPT.encode()).hexdigest()[:12]}"
HELLO = HELLO.replace("@NAME@", NAME)


class State(NamedTuple):
    """What the supervisor says of a job: NONE, STAGED, CLAIMED, RUN, LOST or EXIT; `size` is that of the log, in bytes."""

    word: str
    size: int = 0
    code: int = -1
    is_late: bool = False  # it took longer than it was given when it started, and was ended on the host
    output: bytes = b""  # what it has put out, when it was followed to its end


def parse(answer: bytes) -> State:
    """The last line of an answer, and the output in front of it. Anything that is none of ours is LOST."""
    before, _, last = answer.rstrip(b"\n").rpartition(b"\n")
    match last.decode(errors="replace").split():
        case ["EXIT", code, size, why, *put]:
            count = int(put[0]) if put else 0
            return State("EXIT", int(size), int(code), why == "late", before[len(before) - count :])
        case ["RUN" | "LOST" as word, size]:
            return State(word, int(size))
        case ["NONE" | "STAGED" | "CLAIMED" as word]:
            return State(word)
        case _:
            return State("LOST")
