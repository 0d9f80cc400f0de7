# SPDX-License-Identifier: BSD-3-Clause
"""What runs on either side in test_interop.py, on weir or on the kernel: it does what it is told,
a line of Python at a time, and says what came out. argv[1]: the UNIX socket where orders come
from."""
import hashlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback

NUMBERS = {  # of struct tcp_info: where, and how long
    "state": (0, "B"), "retransmits": (2, "B"), "unacked": (24, "I"), "rtt_us": (68, "I"),
    "total_retrans": (100, "I"), "bytes_acked": (120, "Q"), "bytes_received": (128, "Q"),
    "segs_out": (136, "I"), "segs_in": (140, "I"), "data_segs_in": (152, "I"),
    "data_segs_out": (156, "I"), "bytes_sent": (200, "Q"), "bytes_retrans": (208, "Q"),
    "dsack_dups": (216, "I"),
}


def info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    return {name: struct.unpack_from("=" + kind, raw, at)[0]
            for name, (at, kind) in NUMBERS.items()}


def quiet_info(s):
    """When nothing more moves: delayed ACKs have gone, all that was sent is acknowledged."""
    last = None
    for _ in range(400):
        now = info(s)
        if now == last and now["unacked"] == 0:
            return now
        last = now
        time.sleep(0.11)  # more than a delayed ACK waits
    raise AssertionError(f"still moving: {last}")


def blocks(size, seed):
    """The same bytes on both sides, and no two blocks alike."""
    pattern = hashlib.sha512(str(seed).encode()).digest() * 1024
    for number in range((size + 65535) // 65536):
        block = struct.pack("!Q", number) + pattern[8:]
        yield block[:min(65536, size - 65536 * number)]


def hash_of(size, seed):
    digest = hashlib.sha256()
    for block in blocks(size, seed):
        digest.update(block)
    return digest.hexdigest()


def send(s, size, seed):
    for block in blocks(size, seed):
        s.sendall(block)


def take(s, size=None):
    """The hash of the next size bytes, or of all till the end; and how many they were."""
    digest, count = hashlib.sha256(), 0
    while size is None or count < size:
        part = s.recv(1 << 18 if size is None else min(1 << 18, size - count))
        if not part:
            break
        digest.update(part)
        count += len(part)
    return [digest.hexdigest(), count]


def both(s, size, seed, peer_seed):
    """Send and take at once; what take() says, and is it what the peer sent?"""
    digest, out, count = hashlib.sha256(), blocks(size, seed), 0
    left = memoryview(b"")
    s.setblocking(False)
    while count < size or out:
        readable, writable, _ = select.select([s], [s] if out else [], [], 30)
        assert readable or writable, "nothing moves"
        if readable:
            part = s.recv(1 << 16)
            assert part, f"end after {count} bytes"
            digest.update(part)
            count += len(part)
        if writable:
            left = left or memoryview(next(out, b""))
            if left:
                left = left[s.send(left):]
            else:
                out = None
    s.setblocking(True)
    return digest.hexdigest() == hash_of(size, peer_seed)


def end_of(s, seconds=60):
    """How the other side ends it: "end", or the error's name."""
    s.settimeout(seconds)
    try:
        while s.recv(1 << 16):
            pass
        return "end"
    except OSError as error:
        return type(error).__name__


def serve_many(listener, count, size):
    """So many connections, one after the other: size bytes from each come back."""
    listener.settimeout(60)
    for _ in range(count):
        s, _ = listener.accept()
        s.settimeout(60)
        data = b""
        while len(data) < size:
            part = s.recv(65536)
            assert part, "early end"
            data += part
        s.sendall(data)
        s.close()
    return count


def call_many(peer, count, size):
    for number in range(count):
        with socket.create_connection(peer, timeout=60) as s:
            data = struct.pack("!I", number) * (size // 4)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            assert take(s) == [hashlib.sha256(data).hexdigest(), size], number
    return count


def main():
    orders = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    orders.connect(sys.argv[1])
    scope = globals()
    with orders, orders.makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            scope["result"] = None
            try:
                exec(json.loads(line), scope)  # pylint: disable=exec-used
                answer = {"result": scope["result"]}
            except Exception:  # whatever it was, the test is to see it
                answer = {"error": traceback.format_exc()}
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


signal.signal(signal.SIGPIPE, signal.SIG_IGN)
main()
os._exit(0)
