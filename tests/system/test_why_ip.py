# SPDX-License-Identifier: BSD-3-Clause
"""`weir why`: addresses, routes, neighbours, and packets themselves (whytest.py has how)."""
import re
import socket
import subprocess

import pytest
from weirtest import KERNEL_ADDR, TAP, WEIR_ADDR, pause, wait_until
from whytest import (FAR, PORT, Wire, end, follow, follow_until_gone, ip4, look, reader, send,
                     sender, standing_still, udp)


# ---- addresses, routes, neighbours ----

TWO_TAPS = ((TAP, f"{WEIR_ADDR}/24"), ("tap,name=weir1,addr=198.18.1.1/24", "198.18.1.2/24"))


def test_not_ours_and_no_route(make_weir):
    """weir is used as a router: it is not one yet, then it has no route, then it routes."""
    weir = make_weir(ports=TWO_TAPS)
    wire = Wire(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.50", FAR))

    seen = look(weir, load)
    assert FAR in seen["not-ours"]["title"]
    follow(seen.command("not-ours", r"forward on$"))
    seen = look(weir, load)
    assert "not-ours" not in seen and FAR in seen["no-route"]["title"]
    follow(seen.command("no-route", r"route add default via GATEWAY$"), GATEWAY="198.18.1.1")
    wait_until(lambda: load() or weir.ledger()["forwarded"] > 0, "the gateway is known")
    forwarded = weir.ledger()["forwarded"]
    seen = look(weir, load)
    assert "no-route" not in seen and "not-ours" not in seen and "neighbour" not in seen
    assert weir.ledger()["forwarded"] > forwarded


def test_not_ours_but_of_our_subnet(weir):
    wire = Wire(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.50", "198.18.0.77"))

    reader(weir)
    seen = look(weir, load)
    assert "198.18.0.77" in seen["not-ours"]["title"]
    follow(seen.command("not-ours", r"addr add 198\.18\.0\.77/24 dev weir0$"))
    assert look(weir, load).status == 0


def test_neighbour(weir):
    """Nobody has the address; then somebody does."""
    program = sender(weir, "198.18.0.77")
    seen = look(weir, seconds="5s")
    assert "nobody on weir0 answers for 198.18.0.77" == seen["neighbour"]["title"]
    assert {r for f in seen.findings for r in f["reasons"]} >= {"NEIGH_FAILED"}
    follow(seen.command("neighbour", r"^ip addr add 198\.18\.0\.77/24 dev weir0$"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.bind(("198.18.0.77", PORT))
        s.recv(10)
        assert "neighbour" not in look(weir, seconds="4s")
    program.end()


def test_gateway_that_is_not_there(weir):
    assert weir.cli("route", "add", "203.0.113.0/24", "via", "198.18.0.9").returncode == 0
    program = sender(weir, FAR)
    seen = look(weir, seconds="5s")
    assert "nobody on weir0 answers for 198.18.0.9" == seen["neighbour"]["title"]
    follow(seen.command("neighbour", r"route del 203\.0\.113\.0/24$"))
    wait_until(lambda: weir.ledger()["held"] == 0, "what waited has failed")
    assert "neighbour" not in look(weir, seconds="2s")
    program.end()


def test_own_address(weir):
    """Another host has one of weir's addresses."""
    assert weir.cli("addr", "add", "198.18.0.3/24", "dev", "weir0").returncode == 0
    wire = Wire(weir)
    reader(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.3", WEIR_ADDR), src_mac="02:00:00:00:00:33")

    seen = look(weir, load)
    assert "198.18.0.3" in seen["own-address"]["title"]
    assert "02:00:00:00:00:33" in seen["own-address"]["why"]
    follow(seen.command("own-address", r"addr del 198\.18\.0\.3/24 dev weir0$"))
    assert look(weir, load).status == 0


@pytest.mark.parametrize("source", ["224.0.0.5", "127.0.0.1"])
def test_bad_address(weir, source):
    wire = Wire(weir)
    reader(weir)

    def load(src=source):
        wire.put(ip4(udp(b"x"), src, WEIR_ADDR), src_mac="02:00:00:00:00:44")

    seen = look(weir, load)
    assert source in seen["bad-address"]["title"]
    assert "02:00:00:00:00:44" in seen["bad-address"]["change"]
    # That host is mended.
    assert look(weir, lambda: load("198.18.0.50")).status == 0


def test_routers_that_send_to_each_other(weir):
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
        f.write("1")
    for words in (["forward", "on"], ["route", "add", "203.0.113.0/24", "via", KERNEL_ADDR]):
        assert weir.cli(*words).returncode == 0
    subprocess.run(["ip", "route", "add", "203.0.113.0/24", "via", WEIR_ADDR], check=True,
                   timeout=10)
    wire = Wire(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.50", FAR, ttl=9))

    seen = look(weir, load)
    assert FAR in seen["ttl"]["title"] and KERNEL_ADDR in seen["ttl"]["why"]
    assert seen.command("ttl", r"^weir .*route del 203\.0\.113\.0/24$")
    follow(seen.command("ttl", r"^ip route del 203\.0\.113\.0/24$"))
    assert "ttl" not in look(weir, load)

# ---- packets themselves ----

def test_checksum(net, make_weir):
    """A veth whose kernel leaves checksums to a card that is not there."""
    for command in (["link", "add", "va", "type", "veth", "peer", "name", "vb"],
                    ["link", "set", "va", "up"], ["link", "set", "vb", "up"],
                    ["addr", "add", f"{KERNEL_ADDR}/24", "dev", "vb"]):
        subprocess.run(["ip", *command], check=True, timeout=10)
    weir = make_weir(ports=(("af_packet,iface=va", f"{WEIR_ADDR}/24"),))
    reader(weir)
    seen = look(weir, lambda: send(1))
    assert KERNEL_ADDR in seen["checksum"]["title"] and "UDP_CSUM" in seen["checksum"]["reasons"]
    follow(seen.command("checksum", "^ethtool -K DEVICE tx off$"), DEVICE="vb")
    assert look(weir, lambda: send(1)).status == 0


def test_mtu(make_weir):
    """A port with a smaller MTU on the way, and a sender that does not hear of it."""
    def two(mtu):
        return ((TAP, f"{WEIR_ADDR}/24"),
                (f"tap,name=weir1,addr=198.18.1.1/24,mtu={mtu}", "198.18.1.2/24"))

    def run(weir):
        assert weir.cli("forward", "on").returncode == 0
        wire = Wire(weir)
        return look(weir, lambda: wire.put(ip4(udp(bytes(1450)), "198.18.0.50", "198.18.1.1",
                                               frag=0x4000)))

    weir = make_weir(ports=two(1400))
    seen = run(weir)
    assert "weir1 (MTU 1400)" in seen["mtu"]["title"] and "198.18.1.1" in seen["mtu"]["title"]
    mtu = re.search(r"name=weir1,mtu=(\d+)$", seen.command("mtu", "^weird "))[1]
    end(weir)
    assert "mtu" not in run(make_weir(ports=two(mtu)))


def test_fragments_late(weir):
    """The second fragment comes when the first has been given up."""
    assert weir.cli("sysctl", "ipfrag_time=1").returncode == 0
    wire, whole = Wire(weir), udp(bytes(1592))
    ident = iter(range(1, 60000))
    reader(weir)

    def load():
        n = next(ident)
        wire.put(ip4(whole[:800], "198.18.0.50", WEIR_ADDR, ident=n, frag=0x2000))
        pause(1.6)
        wire.put(ip4(whole[800:], "198.18.0.50", WEIR_ADDR, ident=n, frag=100))

    seen = look(weir, load, "4s")
    assert any("198.18.0.50" in who for who in seen["fragments-late"]["who"])
    follow(seen.command("fragments-late", r"sysctl net\.ipv4\.ipfrag_time=30$"))
    weir.check_ledger()  # nothing waits any more
    delivered = weir.ledger()["delivered"]
    assert look(weir, load, "4s").status == 0
    assert weir.ledger()["delivered"] > delivered


def test_fragments_many(weir):
    assert weir.cli("sysctl", "ipfrag_max_datagrams=4", "ipfrag_time=1").returncode == 0
    wire, whole = Wire(weir), udp(bytes(1592))
    ident = iter(range(1, 60000))
    reader(weir)

    def load():
        ids = [next(ident) for _ in range(16)]
        for part, frag in ((whole[:800], 0x2000), (whole[800:], 100)):
            for n in ids:
                wire.put(ip4(part, "198.18.0.50", WEIR_ADDR, ident=n, frag=frag))
        weir.check_ledger()

    seen = look(weir, load, "3s")  # what is given up takes a second of each load
    follow(seen.command("fragments-many", r"sysctl ipfrag_max_datagrams=16 net\.ipv4\.ipfrag_high"))
    weir.check_ledger()
    assert look(weir, load, "3s").status == 0


def test_worker_mailbox(make_weir):
    """Fragments are handed to the worker that puts them together; its mailbox is tiny."""
    weir = make_weir(ports=((TAP + ",queues=2", f"{WEIR_ADDR}/24"),),
                     options=["--workers", "2", "--sysctl", "steer_max_bytes=4096",
                              "--sysctl", "ipfrag_time=1"])
    reader(weir)

    def load():
        with standing_still(weir.daemon.pid):
            send(100, size=3000)
        wait_until(lambda: weir.ledger()["ports"][1]["waiting"] == 0, "they are in")

    send(1)
    assert "worker-mailbox" in look(weir, load)
    follow_until_gone(weir, "worker-mailbox", load, r"sysctl steer_max_bytes=\d+$")


def test_other(weir):
    """A reason without a detector has its sentence."""
    wire = Wire(weir)
    seen = look(weir, lambda: wire.put(ip4(udp(b"x"), "198.18.0.50", WEIR_ADDR, version=0x44)))
    assert seen["other"]["reasons"] == ["IP_INHDR"]
    assert "look at who sends them" in seen["other"]["change"]
    assert look(weir, lambda: send(0)).status == 0
