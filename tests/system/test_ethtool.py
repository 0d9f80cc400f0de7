# SPDX-License-Identifier: BSD-3-Clause
"""`weir ethtool`: a port's own statistics, and what the card lost as named lines of the ledger:
what was sent to the card = what entered + what the card lost, counted by others than weir."""
import os
import re
import signal
import socket
import subprocess

import pytest
from weirtest import KERNEL_ADDR, TAP, WEIR_ADDR, wait_until


def counters(weir, port="weir0"):
    return {c["name"]: c["value"] for c in weir.json("ethtool", port)["counters"]}


def card(weir, port="weir0"):
    return [p for p in weir.ledger()["ports"] if p["name"] == port][0]


def losses(card_line):
    return {loss["name"]: loss["count"] for loss in card_line["losses"]}


def stopped(pid):
    """Until the process stands still: SIGSTOP is done when it is sent, not when it counts."""
    os.kill(pid, signal.SIGSTOP)

    def is_so():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"
    wait_until(is_so, "weird stands still")


def send(n, port=9, size=10):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(n):
            s.sendto(bytes(size), (WEIR_ADDR, port))


def know_each_other(weir):
    """ARP is over: what follows is one frame for each datagram."""
    send(1)
    wait_until(lambda: weir.drops("NO_SOCKET") >= 1, "the first datagram is there")


def test_what_the_card_lost_is_in_the_ledger(weir):
    """The kernel's queue of a TAP has room for 1000 frames (txqueuelen): of 3000 that come while
    weird stands still 2000 are lost, and the ledger says so, by name."""
    know_each_other(weir)
    before = card(weir)
    stopped(weir.daemon.pid)
    try:
        send(3000)
    finally:
        os.kill(weir.daemon.pid, signal.SIGCONT)
    wait_until(lambda: card(weir)["waiting"] == 0 and card(weir)["seen"] - before["seen"] >= 3000,
               "what waited is in")
    after = card(weir)
    entered = after["entered"] - before["entered"]
    lost = losses(after)["rx_missed"] - losses(before)["rx_missed"]
    assert lost > 0 and entered + lost == after["seen"] - before["seen"] == 3000, (before, after)
    assert after["lost_before"] == losses(after)["rx_missed"] and after["balance"] == 0
    ledger = weir.ledger()
    assert ledger["lost_before"] == lost and ledger["lost_after"] == 0
    assert sum(p["entered"] for p in ledger["ports"]) == ledger["entered"]
    text = weir.cli("ledger").stdout
    assert re.search(rf"{lost:,} +rx_missed +before weir +weir0 +.*receive ring was full", text)
    assert f"rx_missed: {lost}\n" in weir.cli("ethtool", "weir0", "-S").stdout
    # The kernel counts the same.
    assert counters(weir)["kernel_tx_dropped"] == lost


def test_statistics_of_a_tap(weir):
    know_each_other(weir)
    send(50, size=100)
    wait_until(lambda: weir.drops("NO_SOCKET") == 51, "they are there")
    have = counters(weir)
    assert have["rx_packets"] == card(weir)["entered"] == have["kernel_tx_packets"]
    assert have["tx_packets"] == card(weir)["given"] == have["kernel_rx_packets"]
    assert have["rx_queue_0_packets"] == have["rx_packets"] == have["rx_seen"]
    assert not any(have[n] for n in ("rx_missed", "rx_crc", "rx_errors", "tx_lost", "tx_errors"))
    out = weir.cli("ethtool", "weir0", "-S")
    lines = out.stdout.splitlines()
    assert lines[0] == "NIC statistics:"  # the layout of ethtool(8): scripts take it apart
    assert all(re.fullmatch(r" {5}\w+: \d+", line) for line in lines[1:]), lines
    assert weir.cli("ethtool", "-S", "weir0").stdout.splitlines()[0] == "NIC statistics:"
    assert "the cards lost nothing" in weir.cli("ledger").stdout


def test_views(weir):
    for args, words in ((["weir0"], ["Settings for weir0:", "Link detected: yes", "Duplex: Full"]),
                        (["weir0", "-k"], ["Features for weir0:", "tx-checksumming: on",
                                           "tcp-segmentation-offload: on"]),
                        (["weir0", "-g"], ["Ring parameters for weir0:", "RX:\t\t1000"]),
                        (["weir0", "-l"], ["Channel parameters for weir0:", "Combined:\t1"]),
                        (["weir0", "-i"], ["driver: tun", "bus-info: tap"]),
                        (["lo", "-k"], ["Features for lo:", "loopback: on"]),
                        (["lo", "-S"], ["rx_packets: 0"])):
        out = weir.cli("ethtool", *args)
        assert out.returncode == 0 and out.stderr == ""
        for word in words:
            assert word in out.stdout, (args, word, out.stdout)
    out = weir.cli("ethtool", "nosuch", "-S")
    assert out.returncode == 1 and "no port 'nosuch'" in out.stderr and "weir0" in out.stderr
    assert weir.cli("ethtool").returncode == 2
    assert weir.cli("ethtool", "weir0", "-Z").returncode == 2
    about = weir.json("ethtool", "weir0")["about"]
    assert about["driver"] == "tun" and about["rx_ring"] == 1000


def test_refused_frames_are_drops(weir):
    """What the kernel refuses at once (its side is down) is a drop with a reason, no loss of the
    card's."""
    know_each_other(weir)
    subprocess.run(["ip", "link", "set", "weir0", "down"], check=True, timeout=10)
    weir.script("""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(7):
    s.sendto(b"x", ("198.18.0.1", 9))
""").done()
    wait_until(lambda: weir.drops("PORT_DOWN") == 7, "seven drops")
    line = card(weir)
    assert losses(line)["tx_errors"] == 7 and line["lost_after"] == 0


@pytest.fixture
def veth(net):
    for command in (["link", "add", "va", "type", "veth", "peer", "name", "vb"],
                    ["link", "set", "va", "up"], ["link", "set", "vb", "up"],
                    ["addr", "add", f"{KERNEL_ADDR}/24", "dev", "vb"]):
        subprocess.run(["ip", *command], check=True, timeout=10)


def test_statistics_of_a_dpdk_device(veth, make_weir):
    """af_packet: the driver's own words too (extended statistics)."""
    weir = make_weir(ports=(("af_packet,iface=va", f"{WEIR_ADDR}/24"),))
    name = [p["name"] for p in weir.stat()["ports"] if p["type"] == "dpdk"][0]
    weir.script("""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20):
    s.sendto(b"x", ("198.18.0.1", 9))
""").done()
    wait_until(lambda: counters(weir, name)["tx_packets"] >= 20, "they are sent")
    have, line = counters(weir, name), card(weir, name)
    assert have["tx_good_packets"] == have["tx_packets"] == line["given"]
    assert have["rx_good_packets"] == have["rx_packets"] == line["entered"] == line["seen"]
    assert {"rx_missed_errors", "rx_errors", "rx_mbuf_allocation_errors"} <= set(have)
    rings = weir.cli("ethtool", name, "-g").stdout
    assert re.search(r"Current hardware settings:\nRX:\t\t\d+\nTX:\t\t\d+", rings), rings
    assert "driver: net_af_packet" in weir.cli("ethtool", name, "-i").stdout
    assert line["balance"] == 0 and line["lost_before"] == 0


def test_statistics_of_a_fault_link(make_weir):
    """The link's own counters, and those of the port below."""
    weir = make_weir(ports=((f"fault,loss=0.5,dir=in,seed=3:{TAP}", f"{WEIR_ADDR}/24"),))
    send(200)
    wait_until(lambda: counters(weir)["fault_in_frames"] >= 200, "they are there", 30)
    have = counters(weir)
    assert have["fault_in_lost"] == weir.drops("LINK_LOSS") > 50
    assert have["fault_in_frames"] == have["rx_packets"] == have["kernel_tx_packets"]
    assert have["fault_out_lost"] == 0


def test_the_queue_behind_a_full_ring_can_be_set(weir):
    assert [p["txqueuelen"] for p in weir.json("port") if p["name"] == "weir0"] == [1024]
    assert weir.cli("port", "set", "weir0", "txqueuelen", "4096").returncode == 0
    assert [p["txqueuelen"] for p in weir.json("port") if p["name"] == "weir0"] == [4096]
    for words, status in ((["weir0", "txqueuelen", "0"], 1), (["weir0", "txqueuelen", "x"], 2),
                          (["weir0", "mtu", "1"], 2), (["nosuch", "txqueuelen", "5"], 1),
                          (["weir0", "txqueuelen", "99999"], 1)):
        out = weir.cli("port", "set", *words)
        assert out.returncode == status and out.stderr, words
