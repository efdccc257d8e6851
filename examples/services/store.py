"""A client of memcached: `set`, `get` and `delete` of its text protocol."""

import socket


class Store:
    """One connection. Keys are short texts without spaces."""

    def __init__(self, host: str, port: int = 11211) -> None:
        self._socket = socket.create_connection((host, port), timeout=10)
        self._file = self._socket.makefile("rb")

    def set(self, key: str, value: bytes, seconds: int = 0) -> None:
        """Keep a value, for ever or for some seconds."""
        answer = self._ask(f"set {key} 0 {seconds} {len(value)}\r\n".encode() + value)
        if answer != b"STORED":
            raise OSError(answer.decode())

    def get(self, key: str) -> bytes | None:
        """The value; None where there is none."""
        answer = self._ask(f"get {key}".encode())
        if answer == b"END":
            return None
        value = self._file.read(int(answer.split()[3]))
        self._file.readline()
        self._file.readline()
        return value

    def delete(self, key: str) -> bool:
        """Whether there was something to forget."""
        return self._ask(f"delete {key}".encode()) == b"DELETED"

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _ask(self, line: bytes) -> bytes:
        self._socket.sendall(line + b"\r\n")
        return self._file.readline().rstrip()
