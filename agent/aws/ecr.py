"""Logins at ECR, the registry of AWS, and repositories there."""

import base64

from agent.aws.session import AwsFault, Service


def login(service: Service, create: str = "") -> dict[str, str]:
    """A login for half a day, as a Docker engine takes it; first makes the repository `create`, unless there is one."""
    if create:
        try:
            service("create_repository", repositoryName=create)
        except AwsFault as fault:
            if fault.code != "RepositoryAlreadyExistsException":
                raise
    given = service("get_authorization_token")["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(given).decode().partition(":")
    return {"username": user, "password": password}
