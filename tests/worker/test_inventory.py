"""Groups of hosts as EC2 tells them, by moto's real server: accounts, regions, pages, states; and the way to them."""

from pathlib import Path

import msgspec
import pytest
from moto.ec2.responses import general
from moto.sts.models import sts_backends

from agent.aws import hosts
from agent.config import Config, parse
from agent.errors import EnvironmentFault
from agent.executors.fleet import Assigned
from agent.executors.sshclient import HostKeyFault, LoginFault
from agent.worker.inventory import fleet_of
from agent.worker.places import Directories
from tests.support import cloud
from tests.support.farm import Farm, keygen
from tests.support.instances import Instances, age, instance_connect

OTHER, THIRD = "222222222222", "333333333333"


@pytest.fixture(scope="module")
def endpoint():
    yield from cloud.serve()


@pytest.fixture
def instances(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Instances:
    for name, value in cloud.environment(endpoint).items():
        monkeypatch.setenv(name, value)
    return Instances(cloud.emptied(endpoint))


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/deploy"


def place(region: str = "eu-west-1", account: str = "", tags: str = 'Role = "web"', more: str = "") -> str:
    as_role = f', role = "{role(account)}"' if account else ""
    return f'{{region = "{region}", tags = {{{tags}}}{as_role}{more}}}'


def config(*places: str, more: str = "") -> Config:
    return parse({"config.toml": f"[hosts.fleet]\nec2 = [{', '.join(places)}]\n{more}".encode()})


def fleet(tmp_path: Path, settings: Config):
    directories = Directories(tmp_path / "repo.git")
    directories.root.mkdir(parents=True, exist_ok=True)
    return fleet_of(directories, settings, {"HOME": str(tmp_path), "USER": "root"}, "test")


def test_two_accounts_in_two_regions(instances: Instances, tmp_path: Path):
    ids = {
        (account, region): instances.start(f"127.0.1.{number}", account=account, region=region, Role="web", Name=f"web-{number}")
        for number, (account, region) in enumerate(
            [(account, region) for account in (OTHER, THIRD) for region in ("eu-west-1", "us-east-1")], 1
        )
    }
    instances.start("127.0.1.9", account=OTHER, Role="db", Name="db-1")
    places = [place(region, account) for account, region in ids]
    found = fleet(tmp_path, config(*places)).hosts("fleet")
    assert [(host.name, host.address, host.zone) for host in found] == [
        ("web-1", "127.0.1.1", "eu-west-1b"),
        ("web-2", "127.0.1.2", "us-east-1b"),
        ("web-3", "127.0.1.3", "eu-west-1b"),
        ("web-4", "127.0.1.4", "us-east-1b"),
    ]
    assert [host.id for host in found] == list(ids.values())
    assert str(found[0]) == f"web-1 (127.0.1.1 {found[0].id} eu-west-1b)"


def test_an_external_id(instances: Instances, tmp_path: Path):
    instances.start("127.0.1.1", account=OTHER, Role="web", Name="web-1")
    before = len(sts_backends[OTHER]["global"].assumed_roles)
    assert fleet(tmp_path, config(place(account=OTHER, more=', external_id = "from-us"'))).hosts("fleet")
    assert [assumed.external_id for assumed in sts_backends[OTHER]["global"].assumed_roles[before:]] == ["from-us"]


def test_more_than_a_page_in_one_order_and_only_those_that_run(
    instances: Instances, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hosts, "_PAGE", 5)  # reservations, each of one instance; AWS lets a page have as many as 1,000
    started = {number: instances.start(f"127.0.1.{number}", Role="web", Name=f"web-{number:02}") for number in range(1, 13)}
    groups = fleet(tmp_path, config(place()))
    assert [host.name for host in groups.hosts("fleet")] == [f"web-{number:02}" for number in range(1, 13)]
    instances.client().stop_instances(InstanceIds=[started[3], started[7]])
    instances.client().terminate_instances(InstanceIds=[started[11]])
    assert [int(host.name[4:]) for host in groups.hosts("fleet")] == [1, 2, 4, 5, 6, 8, 9, 10, 12]


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ('Role = "web"', ["a", "b"]),
        ('Role = "*"', ["a", "b", "c"]),
        ('Role = "web", Stage = "green"', ["b"]),
        ('Stage = ["green", "blue"]', ["a", "b"]),
        ('Name = "?"', ["a", "b", "c"]),
    ],
)
def test_tags(instances: Instances, tmp_path: Path, tags: str, names: list[str]):
    instances.start("127.0.1.1", Role="web", Stage="blue", Name="a")
    instances.start("127.0.1.2", Role="web", Stage="green", Name="b")
    instances.start("127.0.1.3", Role="db", Name="c")
    assert [host.name for host in fleet(tmp_path, config(place(tags=tags))).hosts("fleet")] == names


def test_which_address(instances: Instances, tmp_path: Path):
    identity = instances.start("127.0.1.1", Role="web")
    told = instances.client().describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]
    for word, key in (("public", "PublicIpAddress"), ("dns", "PublicDnsName")):
        groups = fleet(tmp_path, config(place(more=f', address = "{word}"')))
        if told.get(key):
            assert groups.hosts("fleet")[0].address == told[key]
        else:
            with pytest.raises(EnvironmentFault, match=f"{identity} in eu-west-1 has no {word} address"):
                groups.hosts("fleet")
    assert fleet(tmp_path, config(place())).hosts("fleet")[0].address == "127.0.1.1"


def test_names_that_two_instances_share_are_told_apart(instances: Instances, tmp_path: Path):
    ids = sorted(instances.start(f"127.0.1.{number}", Role="web", Name="web") for number in (1, 2))
    nameless = instances.start("127.0.1.3", Role="web")
    found = fleet(tmp_path, config(place())).hosts("fleet")
    assert sorted(host.name for host in found) == sorted([*(f"web-{identity}" for identity in ids), nameless])


def test_what_is_said_when_there_is_nobody_or_aws_says_no(instances: Instances, tmp_path: Path, endpoint: str, monkeypatch):
    with pytest.raises(EnvironmentFault, match="host group fleet is empty"):
        fleet(tmp_path, config(place())).hosts("fleet")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(EnvironmentFault, match="the hosts in eu-west-1 as arn"):
        fleet(tmp_path, config(place(account=OTHER))).hosts("fleet")


def test_the_hosts_of_an_attempt_stay_what_they_were(instances: Instances, tmp_path: Path):
    first = instances.start("127.0.1.1", Role="web", Name="a")
    groups = fleet(tmp_path, config(place()))
    before = groups.assign("e1-a-b-1", "e1", "fleet")
    instances.start("127.0.1.2", Role="web", Name="b")
    instances.client().stop_instances(InstanceIds=[first])
    again = fleet(tmp_path, config(place()))  # as a worker that comes after
    assert again.assign("e1-a-b-1", "e1", "fleet") == before
    assert [host.name for host in again.assign("e1-a-b-2", "e1", "fleet")] == ["b"]
    kept = msgspec.json.decode((tmp_path / "repo.git/pipeline/hosts/e1-a-b-1.json").read_bytes(), type=Assigned)
    assert kept.hosts == before


def test_host_keys_from_the_console(instances: Instances, tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch):
    """They are read once: what the console says later is not believed."""
    host = farm.host()
    identity = instances.start(host.address, Role="web", Name="web-1")
    group = config(place(), more=f"port = {host.port}\nkey = '{farm.key}'\nconsole_keys = true")

    def reach() -> str:
        groups = fleet(tmp_path, group)
        try:
            return groups.on("fleet", groups.hosts("fleet")[0]).remote.open()[0].run("hostname").output.decode().strip()
        finally:
            groups.close()

    with pytest.raises(EnvironmentFault, match="the console of web-1 tells no host keys"):
        reach()
    printed = f"ci-info: x\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n{host.host_key} root@ip\r\n-----END SSH HOST KEY KEYS-----\r\n"
    monkeypatch.setattr(general, "SAMPLE_CONSOLE_OUTPUT", printed)
    assert reach() == host.name
    assert (tmp_path / "repo.git/pipeline/hosts/keys" / identity).read_text() == f"{host.host_key}\n"
    other = " ".join(keygen(tmp_path / "other").with_name("other.pub").read_text().split()[:2])
    monkeypatch.setattr(general, "SAMPLE_CONSOLE_OUTPUT", printed.replace(host.host_key, other))
    assert reach() == host.name
    (tmp_path / "repo.git/pipeline/hosts/keys" / identity).unlink()
    with pytest.raises(HostKeyFault, match="somebody stands in between"):
        reach()


def test_a_fresh_key_for_each_login(instances: Instances, tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch):
    """Nothing is known for good on the host: it takes what EC2 Instance Connect was sent, for a minute."""
    sent = tmp_path / "sent"
    host = farm.host(start=False)
    instance_connect(host, sent, monkeypatch)
    host.start()
    identity = instances.start(host.address, account=OTHER, Role="web", Name="web-1")
    known = f"port = {host.port}\nhost_keys = ['{host.host_key}']\n"
    group = config(place(account=OTHER), more=f"{known}instance_connect = true")
    plain = fleet(tmp_path, config(place(account=OTHER), more=known))
    with pytest.raises(LoginFault):
        plain.on("fleet", plain.hosts("fleet")[0]).remote.open()
    groups = fleet(tmp_path, group)
    remote = groups.on("fleet", groups.hosts("fleet")[0]).remote
    connection, home = remote.open()
    first = (sent / f"{identity}.root").read_text()
    assert first.startswith("ssh-ed25519 ")
    assert connection.run("hostname").output.decode().strip() == host.name
    age(sent, 61)
    host.cut()
    assert remote.ask("sweep", "nobody").status == 0  # a new connection, with another key
    assert (sent / f"{identity}.root").read_text() != first
    age(sent, 61)
    with pytest.raises(LoginFault):
        plain.on("fleet", plain.hosts("fleet")[0]).remote.open()
    assert home.root == "/root/.git-pipeline"
    groups.close()
