"""Scripts on hosts, end to end: a real push, a real worker, real sshd processes, notes at the end."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from agent.executors import processes
from agent.executors.supervisor import MARK
from tests.support import cloud
from tests.support.farm import Farm, Host
from tests.support.hosted import Hosted
from tests.support.instances import Instances

SECRET = "s3cr3t-value"


@pytest.fixture(scope="module")
def farm(farm: Farm) -> Farm:
    for _ in range(4):
        farm.host()
    return farm


@pytest.fixture(scope="module")
def endpoint():
    yield from cloud.serve()


@pytest.fixture
def repo(tmp_path: Path, keys, farm: Farm):
    made = Hosted(tmp_path, keys, farm, farm.hosts)
    yield made
    try:
        made.wait(lambda: not [job for host in farm.hosts for job in host.jobs.glob("*")], "nothing is left on the hosts")
    finally:
        made.end()


def left(execution: str) -> list[int]:
    """Processes of an execution, on whatever host."""
    return [pid for pid in processes.everyone() if execution in processes.environment(pid).get(MARK, "")]


def srv(host: Host) -> Path:
    """Where the scripts of this host may leave something."""
    return host.root.parent / "srv"


def test_one_of_four_hosts_fails(repo: Hosted):
    """Who pushes sees each host's lines; the note tells how many did it, and why the others did not."""
    repo.release('echo "on $PIPELINE_HOST $(hostname) $PIPELINE_NUMBER"; test "$PIPELINE_HOST" != web-3 || exit 5')
    said = repo.push()
    for number, host in enumerate(repo.hosts, 1):
        assert f"web-{number} | on web-{number} {host.name} 1" in said
    repo.wait_for("Failed")
    found = repo.action()
    assert (found["status"], found["reason"], found["exit_code"]) == ("Failed", "exit", 5)
    assert found["message"] == "3/4 hosts, web-3: exit code 5"
    assert "3/4 hosts, web-3: exit code 5" in (repo.note("pipeline", repo.head) or b"").decode()
    assert found["resolved"]["hosts"] == ", ".join(f"web-{n} ({h.address}:{h.port})" for n, h in enumerate(repo.hosts, 1))


def test_inputs_outputs_and_the_commit(repo: Hosted):
    more = 'outputs: [version, from]\nenv: {WHO: "${{ source.branch }}"}\ntimeout: 1m'
    repo.write({"VERSION": "7\n", "deep/er/file": "x"})
    script = (
        'test "$(cat VERSION)" = 7; test -f deep/er/file; test "$WHO" = main; test "$CI" = true; test -w .\n'
        "case $HOME in /root) ;; *) exit 9 ;; esac\n"
        'echo "version=$(cat VERSION)" >>"$PIPELINE_OUTPUT"; echo "from=all" >>"$PIPELINE_OUTPUT"'
    )
    repo.release(script, more)
    repo.push()
    repo.wait_for("Succeeded")
    found = repo.action()
    assert found["outputs"] == {"version": "7", "from": "all"}
    assert found["message"] == "4/4 hosts"


def test_hosts_that_do_not_agree_on_an_output(repo: Hosted):
    repo.release('echo "who=$PIPELINE_HOST" >>"$PIPELINE_OUTPUT"', "outputs: [who]")
    repo.push()
    repo.wait_for("Failed")
    assert repo.action()["reason"] == "variable"
    assert "do not agree on output who" in repo.action()["message"]


def test_a_secret_is_in_the_hosts_memory_only_and_masked(repo: Hosted):
    (repo.directory / "token").write_text(SECRET)
    (repo.directory / "token").chmod(0o600)
    repo.set_hosts('[secrets.TOKEN]\nfile = "token"')
    script = (
        'echo "in $(df -P "$PIPELINE_SECRETS" | tail -1 | cut -d" " -f1): $API_TOKEN"\n'
        'test "$(cat "$PIPELINE_SECRETS/TOKEN")" = "$API_TOKEN"; test ${#API_TOKEN} = 12\n'
        'cat "$PIPELINE_SECRETS/TOKEN"; echo; echo "$PIPELINE_SECRETS" >>/srv/place'
    )
    repo.release(script, "secrets: {TOKEN: API_TOKEN}")
    said = repo.push()
    repo.wait_for("Succeeded")
    assert "web-1 | in tmpfs: ***" in said
    assert SECRET not in said + repo.logged() + repo.log
    repo.tidied()
    for host in repo.hosts:
        place = Path((srv(host) / "place").read_text().split()[-1])
        assert not place.exists()
        found = [path for path in host.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
        assert found == []


def test_stop_and_abandon_ends_what_runs_on_the_hosts(repo: Hosted):
    repo.release("trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo up; while :; do sleep 1; done")
    said = repo.detached()
    repo.wait(lambda: repo.executions and len(left(repo.executions[0].id)) >= 4 * 3, f"it runs everywhere: {said}")
    execution = repo.executions[0].id
    said = repo.told("stop/release/1/alice", message="enough\n\nAbandon: true")
    repo.wait_for("Stopped")
    assert left(execution) == []
    assert repo.action()["status"] == "Abandoned"
    assert "0/4 hosts" in repo.action()["message"]


def test_a_ref_that_is_not_protected(repo: Hosted):
    repo.release("touch /srv/reached")
    repo.push("HEAD:refs/heads/topic")
    repo.wait_for("Failed")
    found = repo.action()
    assert (found["status"], found["reason"]) == ("Failed", "policy")
    assert "not protected" in found["message"]
    assert not any((srv(host) / "reached").exists() for host in repo.hosts)


def test_the_group_of_another_pipeline(repo: Hosted):
    """It learns no more than if there were no such group."""
    repo.release("touch /srv/reached", name="other")
    repo.push()
    repo.wait(lambda: repo.row(pipeline="other").status == "Failed", "it is refused")
    found = repo.action()
    assert (found["status"], found["reason"]) == ("Failed", "policy")
    assert found["message"].startswith("host group web is not open to stage stage of other")
    assert not any((srv(host) / "reached").exists() for host in repo.hosts)


def test_a_wrong_host_key_is_refused_and_the_others_run(repo: Hosted):
    right = [host.known for host in repo.hosts]
    repo.set_hosts(known=[f"{right[0].split()[0]} {right[1].split(maxsplit=1)[1]}", *right[1:]])
    repo.release("echo fine")
    repo.push()
    repo.wait_for("Failed")
    message = repo.action()["message"]
    assert message.startswith("3/4 hosts, web-1: root@")
    assert "is not trusted: its ssh-ed25519 key is not the known one" in message


def test_the_worker_killed_and_the_connections_cut_twice(repo: Hosted):
    """The log is complete and has each line once, the exit code is right, and the command ran once on each host."""
    lines = 100
    script = (
        "echo ran >>/srv/times\n"
        f"i=0; while [ $i -lt {lines} ]; do i=$((i + 1)); echo line $i; sleep 0.1\n"
        "[ $i -ne 70 ] || until [ -e /srv/go ]; do sleep 0.1; done; done\n"
        'test "$PIPELINE_HOST" != web-2 || exit 37'
    )
    for host in repo.hosts:
        for name in ("times", "go"):
            (srv(host) / name).unlink(missing_ok=True)
    repo.release(script)
    repo.detached()
    log = repo.directory / "executions"
    repo.wait(lambda: printed(log).count("line 20\n") == 4, "20 lines")
    cut(repo)
    repo.wait(lambda: printed(log).count("line 40\n") == 4, "40 lines")
    repo.kill_worker()
    repo.work_on()
    repo.wait(lambda: printed(log).count("line 60\n") == 4, "60 lines")
    cut(repo)
    for host in repo.hosts:
        (srv(host) / "go").touch()
    repo.wait_for("Failed")
    found = repo.action()
    assert (found["message"], found["exit_code"]) == ("3/4 hosts, web-2: exit code 37", 37)
    counted = Counter(re.findall(r"^web-(\d) \| line (\d+)$", repo.logged(), re.MULTILINE))
    assert counted == Counter({(str(host), str(line)): 1 for host in range(1, 5) for line in range(1, lines + 1)})
    for number in range(1, 5):
        of_host = re.findall(rf"^web-{number} \| line (\d+)$", repo.logged(), re.MULTILINE)
        assert of_host == [str(line) for line in range(1, lines + 1)]
    assert [(srv(host) / "times").read_text() for host in repo.hosts] == ["ran\n"] * 4


def cut(repo: Hosted) -> None:
    assert sum(host.cut() for host in repo.hosts) >= 4


def printed(executions: Path) -> str:
    return "".join(path.read_text() for path in executions.glob("*/logs/*.log"))


def test_the_hosts_are_those_that_ec2_tells_when_the_action_starts(repo: Hosted, endpoint: str, monkeypatch: pytest.MonkeyPatch):
    """Two places in one group, one of them in another account; who has stopped is not asked; the record tells who was."""
    repo.environment |= cloud.environment(endpoint)
    for name, value in cloud.environment(endpoint).items():
        monkeypatch.setenv(name, value)
    instances = Instances(cloud.emptied(endpoint))
    first, second, third, _ = repo.hosts
    ids = [instances.start(first.address, Role="web", Name="here")]
    ids += [instances.start(second.address, account="222222222222", region="us-east-1", Role="web", Name="there")]
    instances.client().stop_instances(InstanceIds=[instances.start(third.address, Role="web", Name="gone")])
    role = "arn:aws:iam::222222222222:role/deploy"
    repo.set_hosts(
        f"[hosts.fleet]\nuser = 'root'\nport = {first.port}\nkey = '{repo.farm.key}'\n"
        f"host_keys = {json.dumps([host.known for host in repo.hosts])}\n"
        "[[hosts.fleet.ec2]]\nregion = 'eu-west-1'\ntags = {Role = 'web'}\n"
        f"[[hosts.fleet.ec2]]\nregion = 'us-east-1'\ntags = {{Role = 'web'}}\nrole = '{role}'\n"
    )
    repo.release('echo "on $(hostname)"', group="fleet")
    said = repo.push()
    repo.wait_for("Succeeded")
    assert f"here | on {first.name}" in said
    assert f"there | on {second.name}" in said
    found = repo.action()
    assert found["message"] == "2/2 hosts"
    assert found["resolved"]["hosts"] == (
        f"here ({first.address} {ids[0]} eu-west-1b), there ({second.address} {ids[1]} us-east-1b)"
    )
