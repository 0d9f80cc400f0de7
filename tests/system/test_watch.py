# SPDX-License-Identifier: BSD-3-Clause
"""The control command "watch": bad requests, watchers that vanish, that write what they like into
the memory they share, that are others' users, and weird that ends under them."""
import array
import contextlib
import json
import mmap
import os
import random
import signal
import socket
import subprocess

import pytest
from weirtest import BIN, WEIR_ADDR, Program, wait_until

ALL = 8  # observers at once
RET = "0600000000000400"  # accept everything, as struct sock_filter


def connect(weir):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(os.path.join(weir.rundir, weir.instance, "ctl.sock"))
    return s


def ask(weir, request, cmd="watch"):
    """The connection, weird's answer, and the descriptor that came along (or None)."""
    s = connect(weir)
    s.sendall(json.dumps({"cmd": cmd, **request}).encode() + b"\n")
    data, fds = b"", array.array("i")
    while not data.endswith(b"\n"):
        part, more, _, _ = s.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if not part:
            break
        data += part
        for level, kind, content in more:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            fds.frombytes(content)
    return s, json.loads(data), fds[0] if fds else None


def watch(weir, **request):
    s, answer, fd = ask(weir, {"records": True, **request})
    assert answer.get("ok"), answer
    os.set_blocking(s.fileno(), True)
    return s, answer, fd


def all_free(weir):
    """Nobody watches: as many as can be find a place."""
    def try_it():
        held = [ask(weir, {}) for _ in range(ALL)]
        good = all("ok" in answer for _, answer, _ in held)
        for s, _, fd in held:
            s.close()
            if fd is not None:
                os.close(fd)
        return good
    wait_until(try_it, "all places are free", 10)


def ping(count=20):
    assert subprocess.run(["ping", "-c", str(count), "-i", "0.005", "-q", WEIR_ADDR], timeout=30,
                          stdout=subprocess.DEVNULL, check=False).returncode == 0


def filters(ethernet, ip=RET):
    return {"filter": {"ethernet": ethernet, "ip": ip}}


@pytest.mark.parametrize("request_,words", [
    ({"stages": ["port-rx", "nowhere"]}, "there is no stage 'nowhere'"),
    ({"stages": [7]}, "there is no stage '?'"),
    ({"reasons": ["NO_SUCH"]}, "weir knows no drop reason 'NO_SUCH'"),
    ({"reasons": [None]}, "weir knows no drop reason '?'"),
    ({"ports": ["weir9"]}, "there is no port 'weir9'"),
    ({"ports": [{}]}, "there is no port '?'"),
    ({"snap": 65536}, "not acceptable"),
    ({"snap": -1}, "not acceptable"),
    ({"snap": 1 << 40}, "not acceptable"),
    ({"ring": 1}, "not acceptable"),
    ({"ring": (1 << 20) + 8}, "not acceptable"),
    ({"ring": 1 << 30}, "not acceptable"),
    ({"filter": {}}, "not two programs"),
    ({"filter": 7}, "not two programs"),
    (filters(""), "not two programs"),
    (filters(RET[:-1]), "not two programs"),
    (filters("zz" * 8), "not two programs"),
    (filters(RET * 4097), "not two programs|too long"),
    (filters("2000000000000000"), "not acceptable"),          # does not end
    (filters("0500000000000010" + RET), "not acceptable"),    # jumps out
    (filters("6000000000000000" + RET), "not acceptable"),    # reads what was not written
    (filters("ffff000000000000" + RET), "not acceptable"),
])
def test_bad_requests(weir, request_, words):
    s, answer, fd = ask(weir, request_)
    assert fd is None and any(w in answer["error"] for w in words.split("|")), answer
    with contextlib.suppress(ConnectionResetError):  # where weird did not read all of it
        assert s.recv(1) == b""  # and that was it
    all_free(weir)


def test_an_answer(weir):
    s, answer, fd = watch(weir, stages=["port-rx"], **filters(RET))
    assert answer["pid"] == weir.daemon.pid and answer["filter"] == "machine code"
    assert [p["name"] for p in answer["ports"]] == ["lo", "weir0"]
    assert {"stage": "port-rx", "linux": "napi_poll", "direction": "receive"} in answer["stages"]
    assert any(r["name"] == "NO_SOCKET" for r in answer["reasons"])
    assert all(site["function"] and site["line"] for site in answer["sites"])
    with mmap.mmap(fd, 0) as area:
        assert area[:4] == b"hTaw"
    with pytest.raises(OSError):
        os.ftruncate(fd, 0)
    os.close(fd)
    s.close()
    # What libpcap's "ether[ether[0:4]] = 1" is about is for the interpreter only.
    s, answer, fd = watch(weir, **filters("2000000000000000" "0700000000000000"
                                          "5000000000000000" + RET))
    assert answer["filter"] == "interpreter"
    os.close(fd)
    s.close()
    all_free(weir)


def test_the_ninth_is_refused(weir):
    held = [watch(weir) for _ in range(ALL)]
    _, answer, fd = ask(weir, {})
    assert fd is None and "8 watch already" in answer["error"]
    assert "end one of them" in weir.cli("capture").stderr
    for s, _, fd in held:
        os.close(fd)
        s.close()
    all_free(weir)


def test_those_who_do_not_wait(weir):
    """Closed before the answer, in the middle of the request, without a word."""
    for i in range(60):
        s = connect(weir)
        if i % 3:
            s.sendall(b'{"cmd": "watch", "records": true, "stages": ["port-rx"]}'
                      + b"\n" * (i % 3 - 1))
        s.close()
    ping()
    all_free(weir)


def test_one_that_is_killed(weir):
    captures = []
    for _ in range(ALL):
        captures.append(Program("capture", weir.argv("capture", "-w", "/dev/null"),
                                weir.log_name("capture")))
    for capture in captures:
        wait_until(lambda: "listening" in capture.log(), "it listens")
    ping()
    for capture in captures:
        capture.end(signal.SIGKILL)
    ping()
    all_free(weir)


def test_a_hostile_one(weir):
    """Random bytes all over the area, while packets flow; another one's records stay right."""
    honest = Program("capture", weir.argv("capture", "-i", "weir0", "icmp"),
                     weir.log_name("honest"))
    wait_until(lambda: "listening" in honest.log(), "it listens")
    s, _, fd = watch(weir, stages=["port-rx", "ip4-input", "ip4-output", "port-tx"], drops=True,
                     follow=True, snap=65535, ring=1 << 18)
    rng = random.Random(5)
    with mmap.mmap(fd, 0) as area:
        for _ in range(10):
            for _ in range(500):
                at = rng.randrange(len(area) - 8)
                area[at:at + 8] = rng.randbytes(8)
            for at in (4096, 4096 + 64):  # head, tail
                area[at:at + 8] = rng.choice((b"\0", b"\xff", b"\x80", b"\x7f")) * 8
            ping(10)
        area[:] = b"\xff" * len(area)
        ping(10)
    weir.check_ledger()
    os.close(fd)
    s.close()
    assert honest.end(signal.SIGINT) == 0
    assert honest.log().count("ICMP echo request") == 110
    all_free(weir)


def test_weird_ends_under_it(make_weir):
    weir = make_weir()
    capture = Program("capture", weir.argv("capture", "-w", os.path.join(weir.tmp, "x.pcapng")),
                      weir.log_name("capture"))
    wait_until(lambda: "listening" in capture.log(), "it listens")
    ping(3)
    assert weir.cli("stop").returncode == 0
    assert capture.wait(20) == 1
    assert "the weird of instance 'default' has ended, and the capture with it" in capture.log()
    assert weir.daemon.wait(20) == 0
    weir.dead = True
    read = subprocess.run(["tcpdump", "-nr", os.path.join(weir.tmp, "x.pcapng"), "icmp"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20,
                          check=True)
    assert read.stdout.count("ICMP echo") == 6


def test_another_user(weir):
    out = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                          os.path.join(BIN, "weir"), "--rundir", weir.rundir, "capture"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                         check=False)
    assert out.returncode == 1
    # Weird says so before it hangs up, or has hung up before it was asked.
    assert ("weird obeys its own user and root" in out.stderr or
            "no permission to talk to instance 'default'" in out.stderr), out.stderr
    all_free(weir)
