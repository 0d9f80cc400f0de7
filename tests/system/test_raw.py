# SPDX-License-Identifier: BSD-3-Clause
"""Below the transports: the interface list, raw and packet sockets, C programs and real ones."""
import os
import socket
import subprocess

import pytest
import weirtest
from weirtest import KERNEL_ADDR, WEIR_ADDR

HERE = os.path.dirname(os.path.abspath(__file__))


def compile_case(name, folder):
    path = os.path.join(folder, f"shim_{name}")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-o", path,
                    os.path.join(HERE, f"shim_{name}.c"), "-lpthread"], check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("raw"))
    os.chmod(folder, 0o755)
    return {name: compile_case(name, folder) for name in ("netif", "ring")}


def test_interface_list(make_weir, cases):
    """getifaddrs, if_*, SIOCGIF* on weir say what Linux would say of such interfaces."""
    weir = make_weir(ports=((weirtest.TAP, f"{WEIR_ADDR}/24", "198.18.7.6/30"),))
    text = weir.on_weir(cases["netif"]).done(20)
    mac = weir.stat()["ports"][1]["mac"]
    none = "00:00:00:00:00:00"
    assert text.splitlines() == [
        f"link 1 lo flags 10049 type 772 mac {none} broadcast {none} data 1",
        f"link 2 weir0 flags 11043 type 1 mac {mac} broadcast ff:ff:ff:ff:ff:ff data 1",
        "addr lo 127.0.0.1 mask 255.0.0.0 broadcast 127.0.0.1",
        f"addr weir0 {WEIR_ADDR} mask 255.255.255.0 broadcast 198.18.0.255",
        "addr weir0 198.18.7.6 mask 255.255.255.252 broadcast 198.18.7.7",
        "nameindex 1 lo", "nameindex 2 weir0",
        "name 1 lo", "name 2 weir0", "name 3: No such device or address",
        "index lo 1", "index weir0 2", "index weir9: No such device",
        f"conf 80 of 120: lo 127.0.0.1 weir0 {WEIR_ADDR}",
        "ifreq lo addr 127.0.0.1 mask 255.0.0.0 broadcast 0.0.0.0 mtu 65535 txqlen 1000 flags 49 "
        f"type 772 mac {none} metric 0 index 1 name lo link 1",
        f"ifreq weir0 addr {WEIR_ADDR} mask 255.255.255.0 broadcast 198.18.0.255 mtu 1500 "
        f"txqlen 1000 flags 1043 type 1 mac {mac} metric 0 index 2 name weir0 link 1",
        "ifreq weir9: No such device"]


def tcpdump(weir, *args):
    program = weir.on_weir("tcpdump", "-n", "-t", *args)
    weirtest.wait_until(lambda: "listening on" in program.log() or not program.running(),
                        "tcpdump listens")
    return program


def ping_weir(count=2):
    subprocess.run(["ping", "-c", str(count), "-i", "0.05", WEIR_ADDR], check=True, timeout=20,
                   stdout=subprocess.DEVNULL)


def lines_of(program, word):
    return [line for line in program.log().splitlines() if word in line]


ECHO = [f"IP {KERNEL_ADDR} > {WEIR_ADDR}: ICMP echo request",
        f"IP {WEIR_ADDR} > {KERNEL_ADDR}: ICMP echo reply"]


@pytest.mark.parametrize("workers", [1, 2])
def test_tcpdump_port(make_weir, workers):
    """Unmodified tcpdump shows weir's packets, both ways, by a filter that weir runs."""
    weir = make_weir(ports=((f"{weirtest.TAP},queues={workers}", f"{WEIR_ADDR}/24"),),
                     options=("--workers", str(workers)))
    program = tcpdump(weir, "-i", "weir0", "-c", "4", "icmp and host", KERNEL_ADDR)
    ping_weir()
    text = program.done(20)
    seen = [line.split(", id")[0] for line in lines_of(program, "ICMP")]
    assert sorted(seen) == sorted(ECHO * 2), text
    assert "4 packets captured" in text and "0 packets dropped by kernel" in text, text


def test_tcpdump_any_and_file(weir, tmp_path):
    """-i any with direction and interface; -w and -r; -D lists weir's ports, not the host's."""
    path = os.path.join(weir.tmp, "frames.pcap")
    listed = weir.on_weir("tcpdump", "-D").done(20)
    assert "1.weir0 [Up, Running, Connected]" in listed and ".lo [Up, Running, Loopback]" in listed
    anywhere = tcpdump(weir, "-i", "any", "-c", "4", "icmp")
    to_file = tcpdump(weir, "-i", "weir0", "-w", path, "-c", "4", "--immediate-mode", "icmp")
    ping_weir()
    text = anywhere.done(20)
    assert len(lines_of(anywhere, "weir0 In  IP 198.18.0.1")) == 2, text
    assert len(lines_of(anywhere, "weir0 Out IP 198.18.0.2")) == 2, text
    to_file.done(20)
    read = subprocess.run(["tcpdump", "-n", "-t", "-r", path], capture_output=True, text=True,
                          check=True, timeout=20).stdout
    assert [line.split(", id")[0] for line in read.splitlines()] == ECHO * 2, read


def test_tcpdump_loopback(make_weir):
    """weir's own loopback has Ethernet headers of zeros, and each packet is shown once."""
    weir = make_weir(ports=())
    program = tcpdump(weir, "-i", "lo", "-e", "-c", "2", "udp port 5353")
    weir.script("import socket\n"
                "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                "a.bind(('127.0.0.1', 5353))\n"
                "for i in range(2): a.sendto(b'x' * 7, ('127.0.0.1', 5353))\n"
                "print(a.recv(9), a.recv(9))\n").done(20)
    text = program.done(20)
    line = ("00:00:00:00:00:00 > 00:00:00:00:00:00, ethertype IPv4 (0x0800), length 49: "
            "127.0.0.1.5353 > 127.0.0.1.5353: ")
    assert len([one for one in lines_of(program, "5353 >") if one.startswith(line)]) == 2, text


@pytest.mark.parametrize("how", ["poll", "epoll"])
@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_ring(weir, cases, version, how):
    """PACKET_RX_RING of each version: no frame is lost, and each is as Linux lays it out."""
    program = weir.on_weir(cases["ring"], version, how, "100")
    weirtest.wait_until(lambda: "ready" in program.log() or not program.running(), "it listens")
    subprocess.run(["ping", "-q", "-f", "-s", "900", "-c", "50", WEIR_ADDR], check=True, timeout=20,
                   stdout=subprocess.DEVNULL)
    assert program.done(20) == "ready\ndone\n"


SNIFF = """
import socket, struct, sys
ALL, IP, OUTGOING = 3, 0x800, 4
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
s.bind(("weir0", ALL))
assert s.getsockname()[:2] == ("weir0", ALL), s.getsockname()
me = s.getsockname()[4]
cooked = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IP))
s.settimeout(10)
cooked.settimeout(10)
print("ready", flush=True)
while True:
    frame, (name, proto, kind, hatype, addr) = s.recvfrom(65536)
    if kind == 0 and proto == IP and frame[23] == 1:
        break
assert (name, hatype, frame[:6]) == ("weir0", 1, me), (name, hatype)
packet, _ = cooked.recvfrom(65536)
assert packet == frame[14:], packet
# What goes out: a frame of a made-up type, whole and without its header.
s.send(addr + me + bytes.fromhex("88b5") + b"whole" * 10)
cooked.sendto(b"cooked" * 10, ("weir0", 0x88b5, 0, 0, addr))
try:
    s.send(bytes(1515))
except OSError as error:
    assert error.errno == 90, error
else:
    sys.exit("a frame that is too long was sent")
try:
    cooked.sendto(b"x", ("nothere", 0x88b5))
except OSError as error:
    assert error.errno == 19, error
print("done")
"""


def test_packet_socket(weir):
    """Python's AF_PACKET: names, frames in and out, seen by one of the kernel's side."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5)) as peer:
        peer.bind(("weir0", 0x88b5))
        peer.settimeout(10)
        program = weir.script(SNIFF)
        weirtest.wait_until(lambda: "ready" in program.log() or not program.running(), "it listens")
        ping_weir(1)
        assert "done" in program.done(20)
        whole, cooked = peer.recv(2000), peer.recv(2000)
    assert whole[14:] == b"whole" * 10 and cooked[14:] == b"cooked" * 10
    assert whole[:14] == cooked[:14]


@pytest.mark.parametrize("args,received", [
    (("-c", "3", "-i", "0.05", KERNEL_ADDR), 3), (("-c", "2", "-i", "0.05", WEIR_ADDR), 2),
    (("-c", "2", "-i", "0.05", "-s", "65000", KERNEL_ADDR), 2),
    (("-q", "-f", "-c", "1000", KERNEL_ADDR), 1000)])
def test_ping(weir, args, received):
    """Unmodified ping over a raw socket: to the kernel, to weir itself, in fragments, flooding."""
    text = weir.on_weir("ping", *args).done(30)
    assert f"{received} packets transmitted, {received} received, 0% packet loss" in text, text
    assert weir.drops("ICMP_NO_SOCKET") == 0


def test_ping_two_workers(make_weir):
    """The answers come to whichever worker; the socket hears all."""
    weir = make_weir(ports=((f"{weirtest.TAP},queues=2", f"{WEIR_ADDR}/24"),),
                     options=("--workers", "2"))
    text = weir.on_weir("ping", "-c", "20", "-i", "0.01", KERNEL_ADDR).done(30)
    assert "20 packets transmitted, 20 received, 0% packet loss" in text, text
