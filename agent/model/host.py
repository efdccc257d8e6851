"""A host as an inventory tells it."""

from agent.model.value import Value


class Host(Value, frozen=True, kw_only=True):
    """One machine of a group. `name` is unique in its group and safe in a file name; `port` 0: as the group has it."""

    name: str
    address: str
    port: int = 0
    id: str = ""  # of the instance
    zone: str = ""
    region: str = ""
    role: str = ""  # as which AWS is asked about it

    def __str__(self) -> str:
        about = " ".join(filter(None, (self.address + (f":{self.port}" if self.port else ""), self.id, self.zone)))
        return f"{self.name} ({about})" if about != self.name else self.name
