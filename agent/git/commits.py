"""Commit objects as bytes: what is signed, and the signature in the header `gpgsig`, its lines indented by a blank."""

_NAMES = (b"gpgsig ", b"gpgsig-sha256 ")


def split(raw: bytes) -> tuple[bytes, bytes]:
    """What a commit's signature is for, and the signature; empty if there is none, or more than one."""
    head, blank, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    found: list[list[bytes]] = []
    inside = False
    for line in head.split(b"\n"):
        if inside and line.startswith(b" "):
            found[-1].append(line[1:])
            continue
        inside = line.startswith(_NAMES)
        if inside:
            found.append([line.partition(b" ")[2]])
        else:
            kept.append(line)
    return b"\n".join(kept) + blank + message, b"\n".join(found[0]) if len(found) == 1 else b""


def parents(raw: bytes) -> list[str]:
    """The ids of a commit's parents, in their order."""
    head = raw.partition(b"\n\n")[0].split(b"\n")
    return [line[7:].decode(errors="replace") for line in head if line.startswith(b"parent ")]


def trailer(raw: bytes, key: str) -> str:
    """The value of the last `key: value` line of the message; empty if there is none."""
    lines = raw.partition(b"\n\n")[2].decode(errors="replace").splitlines()
    return next((line[len(key) + 2 :].strip() for line in reversed(lines) if line.startswith(f"{key}: ")), "")
