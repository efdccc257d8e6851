"""`git pipeline completion SHELL`: completion for `git pipeline` and `git-pipeline`, made of the program itself."""

from collections.abc import Mapping

import click

from agent.cli.main import VERBS, program

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="print the completion for bash, zsh or fish")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what completes `git pipeline <TAB>` in SHELL.

    \b
    bash  eval "$(git pipeline completion bash)"        in ~/.bashrc, after git's own completion
    zsh   eval "$(git pipeline completion zsh)"         in ~/.zshrc, after compinit
    fish  git pipeline completion fish | source         in ~/.config/fish/config.fish
    """
    click.echo({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](options()), nl=False)


def options() -> dict[str, tuple[str, ...]]:
    """The long options of each verb."""
    context = click.Context(program)
    found = {}
    for verb in VERBS:
        made = program.get_command(context, verb)
        assert made
        names = [name for one in made.params if isinstance(one, click.Option) for name in one.opts if name.startswith("--")]
        found[verb] = (*names, "--help")
    return found


def _cases(known: Mapping[str, tuple[str, ...]]) -> str:
    return "\n".join(f'    {verb}) words="{" ".join(names)}" ;;' for verb, names in known.items())


def _bash(known: Mapping[str, tuple[str, ...]]) -> str:
    """git's completion calls `_git_pipeline` for `git pipeline`, with `words` and `cword` of the whole line."""
    return f"""\
# git pipeline completion bash
_git_pipeline_words() {{
  local words=
  case "$1" in
{_cases(known)}
    *) words="{" ".join(VERBS)}" ;;
  esac
  printf '%s\\n' "$words"
}}
_git_pipeline_complete() {{
  local current="$1" verb="$2"
  case "$current" in
    -*) ;;
    *) [ -z "$verb" ] || return 0 ;;
  esac
  COMPREPLY=($(compgen -W "$(_git_pipeline_words "$verb")" -- "$current"))
}}
_git_pipeline_verb() {{
  local word seen=
  for word in "${{COMP_WORDS[@]:0:COMP_CWORD}}"; do
    case "$word" in
      pipeline|git-pipeline|*/git-pipeline) seen=yes ;;
      -*) ;;
      *) [ -z "$seen" ] || {{ printf '%s\\n' "$word"; return; }} ;;
    esac
  done
}}
_git_pipeline() {{
  _git_pipeline_complete "${{COMP_WORDS[COMP_CWORD]}}" "$(_git_pipeline_verb)"
  case "${{COMP_WORDS[0]}}" in
    git) ! declare -F __gitcomp >/dev/null || COMPREPLY=("${{COMPREPLY[@]/%/ }}") ;; # git's own leaves the space to us
  esac
}}
complete -o default -F _git_pipeline git-pipeline
if ! declare -F __git_wrap__git_main >/dev/null && ! complete -p git >/dev/null 2>&1; then
  _git_pipeline_of_git() {{ [ "${{COMP_WORDS[1]}}" != pipeline ] || [ "$COMP_CWORD" -lt 2 ] || _git_pipeline; }}
  complete -o default -F _git_pipeline_of_git git
fi
"""


def _zsh(known: Mapping[str, tuple[str, ...]]) -> str:
    """zsh's own completion of git calls `_git-pipeline`, with `words` from the verb's word on."""
    verbs = "\n".join(f"    '{verb}:{said.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'" for verb, said in VERBS.items())
    return f"""\
# git pipeline completion zsh
_git-pipeline() {{
  local -a verbs
  verbs=(
{verbs}
  )
  local words_of=
  if (( CURRENT == 2 )); then
    _describe -t verbs 'verb of git pipeline' verbs
    return
  fi
  case "${{words[2]}}" in
{_cases(known).replace("words=", "words_of=")}
  esac
  if [[ "$PREFIX" == -* ]]; then
    compadd -- ${{=words_of}}
  else
    _files
  fi
}}
zstyle ':completion:*:*:git:*' user-commands pipeline:'run pipelines where git is'
(( $+functions[compdef] )) && compdef _git-pipeline git-pipeline
"""


def _fish(known: Mapping[str, tuple[str, ...]]) -> str:
    lines = ["# git pipeline completion fish"]
    seen = " ".join(known)
    for verb, said in VERBS.items():
        quoted = said.replace("'", "\\'")
        lines.append(f"complete -c git-pipeline -n '__fish_use_subcommand' -f -a {verb} -d '{quoted}'")
        inside = f"__fish_seen_subcommand_from pipeline; and not __fish_seen_subcommand_from {seen}"
        lines.append(f"complete -c git -n '{inside}' -f -a {verb} -d '{quoted}'")
        for name in known[verb]:
            lines.append(f"complete -c git-pipeline -n '__fish_seen_subcommand_from {verb}' -l {name[2:]}")
            both = f"__fish_seen_subcommand_from pipeline; and __fish_seen_subcommand_from {verb}"
            lines.append(f"complete -c git -n '{both}' -l {name[2:]}")
    return "\n".join(lines) + "\n"
