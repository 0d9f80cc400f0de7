# SPDX-License-Identifier: BSD-3-Clause
"""Programs that make packets themselves: traceroute, nmap, hping3, arping, a DHCP client; and
sockets whose packets bring their IP header along, as the kernel has them."""
import os
import re
import subprocess

import pytest
import weirtest
from weirtest import KERNEL_ADDR, WEIR_ADDR

FAR = "203.0.113.9"


@pytest.fixture(name="routed")
def behind_a_router(make_weir):
    """The kernel is weir's router, and has an address behind itself that is one hop further."""
    weir = make_weir(options=("--route", f"default via {KERNEL_ADDR}"))
    with open("/proc/sys/net/ipv4/conf/weir0/forwarding", "w", encoding="ascii") as f:
        f.write("1")
    subprocess.run(["ip", "netns", "del", "weir-test-far"], check=False, timeout=10,
                   capture_output=True)
    for line in ("netns add weir-test-far", "link add near type veth peer name far "
                 "netns weir-test-far", "addr add 203.0.113.1/24 dev near", "link set near up",
                 "-n weir-test-far addr add 203.0.113.9/24 dev far",
                 "-n weir-test-far link set far up", "-n weir-test-far link set lo up",
                 "-n weir-test-far route add default via 203.0.113.1"):
        subprocess.run(["ip", *line.split()], check=True, timeout=10)
    with open("/proc/sys/net/ipv4/conf/near/forwarding", "w", encoding="ascii") as f:
        f.write("1")
    # Until the router's own way there and back is made.
    weirtest.wait_until(lambda: weir.on_weir("ping", "-c", "2", "-i", "0.1", "-W", "1",
                                             FAR).wait(10) == 0, "the way is there")
    weirtest.wait_until(lambda: " 0% packet loss" in weir.on_weir(
        "ping", "-c", "4", "-l", "4", "-W", "1", FAR).done(10), "four packets come back")
    yield weir
    subprocess.run(["ip", "netns", "del", "weir-test-far"], check=True, timeout=10)


@pytest.mark.parametrize("args", [("-I",), ("-T", "-p", "9"), (), ("-U", "-p", "9"),
                                  ("-P", "253"), ("-i", "weir0", "-I")])
def test_traceroute(routed, args):
    """By echo requests, SYNs, datagrams, a protocol nobody knows: two hops, each named."""
    text = routed.on_weir("traceroute", "-n", "-q", "1", "-w", "3", "-m", "4", *args, FAR).done(40)
    hops = re.findall(r"^ *(\d+)  (\S+)", text, re.M)
    assert hops == [("1", KERNEL_ADDR), ("2", FAR)], text


@pytest.fixture(name="web")
def a_port_that_listens(weir):
    server = weir.on_kernel(weirtest.PYTHON, "-u", "-m", "http.server", "8080", "--bind",
                            KERNEL_ADDR, "--directory", weir.tmp)
    weirtest.wait_until(lambda: "Serving" in server.log(), "the server serves")
    return weir


@pytest.mark.parametrize("args", [("-sS", "--send-ip", "-Pn"), ("-sS", "--send-eth", "-Pn"),
                                  ("-sT", "-Pn"), ("-sS",)])
def test_nmap(web, args):
    text = web.on_weir("nmap", "-n", *args, "-p", "8080,8081", KERNEL_ADDR).done(60)
    assert re.search(r"8080/tcp open +http-proxy", text), text
    assert re.search(r"8081/tcp closed", text), text


def test_hping(web):
    text = web.on_weir("hping3", "-n", "-S", "-c", "3", "-i", "u50000", "-p", "8080", "-I", "weir0",
                       KERNEL_ADDR).done(30)
    assert len(re.findall(rf"ip={KERNEL_ADDR} .* sport=8080 flags=SA", text)) == 3, text
    text = web.on_weir("hping3", "-n", "-1", "-c", "2", "-i", "u50000", "-I", "weir0",
                       KERNEL_ADDR).done(30)
    assert len(re.findall(rf"ip={KERNEL_ADDR} .* icmp_seq=", text)) == 2, text


def test_arping(weir):
    mac = subprocess.run(["ip", "-o", "link", "show", "weir0"], check=True, timeout=10, text=True,
                         capture_output=True).stdout.split("link/ether ")[1].split()[0]
    text = weir.on_weir("arping", "-c", "2", "-I", "weir0", KERNEL_ADDR).done(20)
    assert "Received 2 response(s)" in text and mac in text.lower(), text
    # Nobody has it: as a DHCP client asks before it takes an address.
    text = weir.on_weir("arping", "-D", "-c", "1", "-w", "1", "-I", "weir0", "198.18.0.77").done(20)
    assert "Received 0 response(s)" in text, text


def test_udhcpc(make_weir):
    """busybox's DHCP client on a port without an address gets a lease from dnsmasq."""
    weir = make_weir(ports=((weirtest.TAP,),))
    weir.on_kernel("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root",
                   "--interface=weir0", "--bind-interfaces", "--dhcp-authoritative",
                   "--dhcp-range=198.18.0.100,198.18.0.110,1h", "--no-ping",
                   f"--dhcp-leasefile={weir.tmp}/leases", "--pid-file=")
    script = os.path.join(weir.tmp, "script")
    with open(script, "w", encoding="ascii") as f:
        f.write('#!/bin/sh\n[ "$1" = bound ] && echo "bound $ip $subnet $router"\nexit 0\n')
    os.chmod(script, 0o755)
    text = weir.on_weir("busybox", "udhcpc", "-f", "-q", "-n", "-t", "5", "-T", "2", "-i", "weir0",
                        "-s", script).done(40)
    assert re.search(rf"bound 198\.18\.0\.1\d\d 255\.255\.255\.0 {KERNEL_ADDR}", text), text


BOTH = weirtest.TRY + r"""
import socket, struct, sys

def packet(payload=b"data", ihl=5, ident=0, proto=253):
    return struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, 4, 9999, ident, 0, 64, proto, 7, bytes(4),
                       bytes([127, 0, 0, 1])) + payload

HERE = ("127.0.0.1", 0)
r = socket.socket(2, 3, 255)
print(r.getsockname(), r.getsockopt(0, 3), t(r.sendto, packet()[:19], HERE),
      t(r.sendto, packet(b"", 6), HERE), t(r.sendto, packet(bytes(65515)), HERE),
      t(r.sendto, packet(bytes(65516)), HERE), t(r.send, packet()),
      t(r.sendto, packet(), ("9.9.9.9", 0)))
s = socket.socket(2, 3, 253)
s.settimeout(5)
print(s.getsockopt(0, 3), t(s.setsockopt, 0, 3, 5), s.getsockopt(0, 3), t(s.setsockopt, 0, 3, b""),
      t(s.setsockopt, 0, 3, b"\1"))
for what in (packet(), packet(ident=77), packet(bytes(1000)), packet(b"\1\1\1\0more", 6)):
    print(t(r.sendto, what, HERE))
    got, peer = s.recvfrom(2000)
    ident = struct.unpack("!H", got[4:6])[0]
    print(peer, got[:4], ident if ident == 77 else ident != 0, got[6:10], got[12:20], len(got),
          sum(struct.unpack("!%dH" % ((got[0] & 15) * 2), got[:(got[0] & 15) * 4])) % 65535)
print(t(s.sendto, packet(b"own"), HERE), s.recv(2000)[20:])
for kind in ((2, 3, 1), (2, 3, 255), (2, 2, 1)):
    u = socket.socket(*kind)
    print("shut", kind, t(u.connect, HERE), t(u.shutdown, 1),
          t(u.send, packet() if kind[2] == 255 else b"\x08" + bytes(9)))
for kind in ((2, 2), (2, 1), (2, 2, 1)):
    u = socket.socket(*kind)
    print(kind, t(u.setsockopt, 0, 3, 1), t(u.getsockopt, 0, 3))
"""


def test_headers_as_the_kernel(weir):
    """IP_HDRINCL and IPPROTO_RAW: each line of a script is what the kernel's sockets say."""
    with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as f:
        f.write("0 2147483647")
    weir.as_kernel(BOTH)
