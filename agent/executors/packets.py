"""The way out of a connection: data leaves in bursts of packets that are copied and encrypted once, and written together.

paramiko copies each packet half a dozen times and writes it by itself, which costs more than all else where much is sent to many.
"""

import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import paramiko
from paramiko.packet import Packetizer

BURST = 256 * 1024  # bytes of data that are written together
_BLOCK = 16  # bytes: what the length of an encrypted packet is a multiple of
_LEAST = 4  # bytes of padding
_DATA = b"\x5e"  # SSH_MSG_CHANNEL_DATA
_FIXED = 4  # bytes of a nonce that stay; the rest counts packets (RFC 5647)


class Burst(NamedTuple):
    """Data for a channel, by its number there; each piece goes into one packet."""

    channel: int
    pieces: Sequence[memoryview]

    def heads(self) -> list[bytes]:
        """What stands in front of each piece."""
        there = _DATA + self.channel.to_bytes(4, "big")
        return [there + len(piece).to_bytes(4, "big") for piece in self.pieces]


class Packets(Packetizer):
    """Sends messages and bursts. Only AES-GCM, which we prefer, is done here: it needs no more than a nonce for each packet."""

    def __init__(self, sock: Any) -> None:  # noqa: ANN401 - a socket, or what paramiko takes for one
        super().__init__(sock)
        self._socket = sock
        self._sealing = threading.RLock()
        self._cipher: Any = None
        self._fixed, self._count = b"", 0
        self._packets = self._bytes = 0  # since the keys were changed

    def set_outbound_cipher(
        self, block_engine: object, *words: object, aead: bool = False, iv_out: bytes | None = None, **more: object
    ) -> None:
        """See Packetizer."""
        with self._sealing:
            super().set_outbound_cipher(block_engine, *words, aead=aead, iv_out=iv_out, **more)  # type: ignore[arg-type, misc]
            self._cipher = block_engine if aead else None
            if aead and iv_out:
                self._fixed, self._count = iv_out[:_FIXED], int.from_bytes(iv_out[_FIXED:], "big")
            self._packets = self._bytes = 0

    def send_message(self, data: paramiko.Message | Burst) -> None:
        """See Packetizer."""
        with self._sealing:
            if not isinstance(data, Burst):
                if self._cipher:
                    self._write(self._sealed((data.asbytes(),)))
                else:
                    super().send_message(data)
                return
            parts = zip(data.heads(), data.pieces, strict=True)
            if self._cipher:
                self._write([sealed for head, piece in parts for sealed in self._sealed((head, piece))])
                return
            for part in parts:
                super().send_message(paramiko.Message(b"".join(part)))

    def _sealed(self, payload: Sequence[bytes | memoryview]) -> tuple[bytes, bytes]:
        """The length of a packet, which is not secret, and its rest with the tag."""
        size = 1 + sum(map(len, payload))
        padding = _LEAST + -(size + _LEAST) % _BLOCK
        length = (size + padding).to_bytes(4, "big")
        nonce = self._fixed + self._count.to_bytes(8, "big")
        self._count = (self._count + 1) % 2**64
        return length, self._cipher.encrypt(nonce, b"".join((bytes((padding,)), *payload, os.urandom(padding))), length)

    def _write(self, parts: Sequence[bytes]) -> None:
        size = sum(map(len, parts))
        sent = self._written(parts) if hasattr(self._socket, "sendmsg") else 0
        if sent < size:
            self.write_all(memoryview(b"".join(parts))[sent:])
        self._packets += len(parts) // 2
        self._bytes += size
        if (self._packets >= self.REKEY_PACKETS or self._bytes >= self.REKEY_BYTES) and not self.need_rekey():
            self._trigger_rekey()  # type: ignore[attr-defined]

    def _written(self, parts: Sequence[bytes]) -> int:
        """How many bytes of these the socket takes at once."""
        try:
            return int(self._socket.sendmsg(parts))
        except OSError:  # full, or gone: who goes on writing will see
            return 0
