"""Instances of EC2 that are real hosts of the farm: moto tells their addresses, as its network is the loopback one."""

import json
import os
import time
from pathlib import Path

import pytest
from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse

from tests.support.cloud import REGION, Cloud
from tests.support.farm import Host

# What an AMI of Amazon has as AuthorizedKeysCommand: prints the keys that were sent within the last minute.
COMMAND = """\
#!/bin/sh
find {directory} -name "*.$1" -mmin -1 -exec cat {{}} +
"""


class Instances:
    """Starts instances in any account and region."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._subnets: dict[tuple[str, str, str], str] = {}

    def client(self, account: str = "", region: str = REGION):
        """EC2 as this account, empty for the agent's own, sees it."""
        return self._cloud.as_account("ec2", account, region) if account else self._cloud.client("ec2", region)

    def start(self, address: str, *, account: str = "", region: str = REGION, **tags: str) -> str:
        """An instance at this address; its id."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        started = self.client(account, region).run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            SubnetId=self._subnet(account, region, address.rpartition(".")[0]),
            PrivateIpAddress=address,
            TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
        )
        return started["Instances"][0]["InstanceId"]

    def _subnet(self, account: str, region: str, network: str) -> str:
        if (account, region, network) not in self._subnets:
            client = self.client(account, region)
            vpc = client.create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]["VpcId"]
            made = client.create_subnet(VpcId=vpc, CidrBlock=f"{network}.0/24", AvailabilityZone=f"{region}b")
            self._subnets[account, region, network] = made["Subnet"]["SubnetId"]
        return self._subnets[account, region, network]


def instance_connect(host: Host, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moto hand on the keys that it is sent, and this host, not started yet, take no others."""
    directory.mkdir()

    def send(response: Ec2InstanceConnectResponse) -> str:
        asked = json.loads(response.body)
        (directory / f"{asked['InstanceId']}.{asked['InstanceOSUser']}").write_text(asked["SSHPublicKey"])
        return json.dumps({"RequestId": "1", "Success": True})

    monkeypatch.setattr(Ec2InstanceConnectResponse, "send_ssh_public_key", send)
    command = host.root / "keys-sent"  # sshd wants it in a directory that only root can write
    command.write_text(COMMAND.format(directory=directory))
    command.chmod(0o755)
    host.configure("AuthorizedKeysCommand /root/keys-sent %u\nAuthorizedKeysCommandUser root")
    (host.key_file.parent / "authorized_keys").write_text("")


def age(directory: Path, seconds: float) -> None:
    """Make the keys that were sent so much older."""
    for path in directory.iterdir():
        os.utime(path, (time.time() - seconds,) * 2)
