"""Images for the tests, made without a registry: busybox, and this machine's Python copied into it; built once."""

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from tests.support.engine import locked

BUSYBOX = "git-pipeline-test/busybox:latest"
PYTHON = "git-pipeline-test/python:latest"
LABEL = "io.github.git-pipeline.test"
SHAPE = "3"  # change it when what is put into the images changes
DROPPED = {"test", "tests", "idlelib", "turtledemo", "lib2to3", "ensurepip", "site-packages", "tkinter", "__pycache__"}
PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"


def busybox(host: str | None = None) -> str:
    """The name of an image with busybox's shell and tools, 2 MB; built if the engine at `host` does not have it."""
    binary = _busybox()
    return _ensure(BUSYBOX, binary.stat().st_size, lambda archive: _add_busybox(archive, binary), host)


def python(host: str | None = None) -> str:
    """The name of an image with busybox, and `python3` with its standard library."""
    return _ensure(PYTHON, sys.version, _add_python, host)


def _ensure(name: str, key: object, fill, host: str | None) -> str:
    import docker
    import docker.errors

    wanted = sha256(f"{SHAPE} {key}".encode()).hexdigest()
    with locked("images"):
        client = docker.APIClient(base_url=host, version="auto")
        try:
            try:
                labels = client.inspect_image(name)["Config"]["Labels"] or {}
            except docker.errors.ImageNotFound:
                labels = {}
            if labels.get(LABEL) != wanted:
                repository, tag = name.split(":")
                changes = [f"LABEL {LABEL}={wanted}", "ENV PATH=/usr/local/bin:/bin", 'CMD ["sh"]']
                client.import_image_from_data(_archive(fill), repository=repository, tag=tag, changes=changes)
        finally:
            client.close()
    return name


def _archive(fill) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        fill(archive)
    return buffer.getvalue()


def _busybox() -> Path:
    found = shutil.which("busybox")
    assert found, "the test images need busybox (`apt-get install busybox-static`)"
    return Path(found)


def _add_busybox(archive: tarfile.TarFile, binary: Path) -> None:
    for directory, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755), ("root", 0o700), ("usr/local/bin", 0o755)):
        entry = tarfile.TarInfo(directory)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        archive.addfile(entry)
    archive.add(binary, "bin/busybox")
    for applet in subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            _link(archive, f"bin/{applet}", "/bin/busybox")
    _text(archive, "etc/passwd", PASSWD)
    _text(archive, "etc/nsswitch.conf", "hosts: files dns\n")
    _text(archive, "etc/group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def _text(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    archive.addfile(entry, io.BytesIO(text.encode()))


def _add_python(archive: tarfile.TarFile) -> None:
    _add_busybox(archive, _busybox())
    binary = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    archive.add(binary, str(binary).lstrip("/"))
    _link(archive, "usr/local/bin/python3", str(binary))
    _link(archive, "usr/local/bin/python", str(binary))
    archive.add(library, str(library).lstrip("/"), filter=_wanted)
    for shared in sorted(_libraries([binary, *library.glob("lib-dynload/*.so")])):
        archive.add(os.path.realpath(shared), shared.lstrip("/"))


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if DROPPED & set(Path(entry.name).parts) or entry.name.endswith(".a") else entry


def _libraries(files: Iterable[Path]) -> set[str]:
    told = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(/\S+\.so[.\d]*) \(", told))
