"""The way out of a connection: data leaves in bursts of packets that are copied and encrypted once, and written together.

paramiko copies each packet half a dozen times and writes it by itself, which costs more than all else where much is sent to many.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import paramiko
from paramiko.packet import Packetizer

BURST = 256 * 1024  # bytes of data that are written together
LITTLE = 0.05  # seconds after which less than a burst is sent, if the host takes no more
NEAR = 4_000  # microseconds there and back, at most
ON_THE_WAY = 512 * 1024  # bytes at most that a host near by has not taken yet: sshd copies all that it holds for each packet
PATIENCE = 0.25  # seconds after which it is sent all that it allows: not every server says so soon what it has taken
_PACKET = 32 * 1024 + 64  # bytes of a packet, mostly
_LENGTH, _TAG = 4, 16  # bytes before and behind what is encrypted
_BLOCK = 16  # bytes: what is encrypted is a multiple of it
_LEAST = 4  # bytes of padding
_DATA = b"\x5e"  # SSH_MSG_CHANNEL_DATA
_ROUND_TRIP = 148  # where `struct tcp_info` has the shortest one, in microseconds
_FIXED = 4  # bytes of a nonce that stay; the rest counts packets (RFC 5647)


class Burst(NamedTuple):
    """Data for a channel, by its number there; each piece goes into one packet."""

    channel: int
    pieces: Sequence[memoryview]

    def head(self, piece: memoryview) -> bytes:
        """What stands in front of a piece."""
        return _DATA + self.channel.to_bytes(4, "big") + len(piece).to_bytes(4, "big")

    def messages(self) -> Iterator[paramiko.Message]:
        """The same as paramiko has it."""
        return (paramiko.Message(self.head(piece) + piece) for piece in self.pieces)


class Packets(Packetizer):
    """Sends messages and bursts. Only AES-GCM, which we prefer, is done here: it needs no more than a nonce for each packet."""

    def __init__(self, sock: Any) -> None:  # noqa: ANN401 - a socket, or what paramiko takes for one
        super().__init__(sock)
        self._sealing = threading.RLock()
        self._cipher: Any = None
        self._fixed, self._count = b"", 0
        self._packets = self._bytes = 0  # since the keys were changed
        self._plain, self._sealed = memoryview(bytearray(_PACKET)), memoryview(b"")

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
            if not self._cipher:
                for message in data.messages() if isinstance(data, Burst) else (data,):
                    super().send_message(message)
            elif isinstance(data, Burst):
                self._send([(data.head(piece), piece) for piece in data.pieces])
            else:
                self._send([(b"", data.asbytes())])

    def _send(self, payloads: Sequence[tuple[bytes, bytes | memoryview]]) -> None:
        """Each is a head and the rest."""
        most = sum(len(rest) for _, rest in payloads) + 64 * len(payloads)
        if len(self._sealed) < most:
            self._sealed = memoryview(bytearray(most))
        size = 0
        for head, rest in payloads:
            size = self._seal(head, rest, size)
        self.write_all(self._sealed[:size])
        self._packets += len(payloads)
        self._bytes += size
        if (self._packets >= self.REKEY_PACKETS or self._bytes >= self.REKEY_BYTES) and not self.need_rekey():
            self._trigger_rekey()  # type: ignore[attr-defined]

    def _seal(self, head: bytes, rest: bytes | memoryview, at: int) -> int:
        """Put a packet at a place of what is written: its length, which is not secret, the rest and the tag. Where it ends."""
        begin = 1 + len(head)
        size = begin + len(rest)
        padding = _LEAST + -(size + _LEAST) % _BLOCK
        whole = size + padding
        if len(self._plain) < whole:
            self._plain = memoryview(bytearray(whole))
        plain, sealed, start = self._plain, self._sealed, at + _LENGTH
        plain[0] = padding
        plain[1:begin] = head
        plain[begin:size] = rest
        plain[size:whole] = os.urandom(padding)
        length = whole.to_bytes(_LENGTH, "big")
        sealed[at:start] = length
        end = start + whole + _TAG
        _encrypt(self._cipher, self._fixed + self._count.to_bytes(8, "big"), plain[:whole], length, sealed[start:end])
        self._count = (self._count + 1) % 2**64
        return end


def _encrypt(cipher: Any, nonce: bytes, data: memoryview, length: bytes, into: memoryview) -> None:  # noqa: ANN401 - AESGCM
    if hasattr(cipher, "encrypt_into"):  # in newer versions of cryptography: nothing is allocated
        cipher.encrypt_into(nonce, data, length, into)
    else:
        into[:] = cipher.encrypt(nonce, data, length)


def send(channel: Any, stdin: Iterable[bytes | memoryview]) -> None:  # noqa: ANN401 - what stubs do not know of a channel
    """Send all of it, then that it is all. A command that ends early tells why by itself. Raises OSError."""
    with channel.lock:
        channel.held = max(0, channel.out_window_size - ON_THE_WAY) if is_near(channel.transport.sock) else 0
        channel.out_window_size -= channel.held
        channel.enough = min(BURST, channel.out_window_size // 2)
    try:
        for data in stdin:
            view = memoryview(data)
            while view:
                view = view[_sent(channel, view) :]
        channel.shutdown_write()
    except OSError as error:
        if isinstance(error, TimeoutError) or not channel.status_event.wait(1.0):
            raise


def _sent(channel: Any, view: memoryview) -> int:  # noqa: ANN401 - what stubs do not know of a channel
    """Send as much as the host takes now, at least something; how much that was."""
    most = min(len(view), BURST)
    began = time.monotonic()
    with channel.lock:
        while not channel.closed and not channel.out_window_size:
            waited = time.monotonic() - began
            if waited >= channel.timeout:
                raise TimeoutError("it takes nothing more")
            if waited >= PATIENCE and channel.held:
                channel.out_window_size, channel.held = channel.held, 0
            else:
                channel.out_buffer_cv.wait(LITTLE)
        if channel.closed:
            raise OSError("the channel is closed")
        size = int(channel._wait_for_send_window(most))  # at most what a packet takes
        more = min(most - size, int(channel.out_window_size)) if size else 0
        channel.out_window_size -= more
        packet = channel.out_max_packet_size - 64
    pieces = [view[start : min(start + packet, size + more)] for start in range(0, size + more, packet)]
    if pieces:  # not with the lock: keys may be changed first
        channel.transport._send_user_message(Burst(channel.remote_chanid, pieces))
    return size + more


def is_near(sock: Any) -> bool:  # noqa: ANN401 - a socket, or what paramiko takes for one
    """Whether what is said there is answered so soon that little need be on its way; False where nobody knows."""
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP + 4)
    except (AttributeError, OSError):  # another system, a proxy, a tunnel
        return False
    return len(told) > _ROUND_TRIP and int.from_bytes(told[_ROUND_TRIP:], sys.byteorder) <= NEAR


def take_more(channel: Any, message: paramiko.Message) -> None:  # noqa: ANN401 - as above
    """The host takes more of a channel. Whoever waits to send is woken for a burst, or half of what it takes at most."""
    with channel.lock:
        channel.out_window_size += message.get_int()
        if channel.out_window_size >= getattr(channel, "enough", 1):
            channel.out_buffer_cv.notify_all()
