# SPDX-License-Identifier: BSD-3-Clause
"""iperf3 both ways, and what it counted against what weir counted."""
import json

import pytest
from weirtest import KERNEL_ADDR, WEIR_ADDR

CASES = {
    "tcp": (), "reverse": ("-R",), "eight": ("-P", "8"), "both-ways": ("--bidir",),
    "udp": ("-u", "-b", "100M"), "udp-reverse": ("-u", "-b", "100M", "-R"),
}



def port_bytes(weir):
    return sum(p["rx_bytes"] + p["tx_bytes"] for p in weir.json("stat", "ports")["ports"]
               if p["type"] != "loop")


@pytest.mark.parametrize("server_side", ["weir", "kernel"])
@pytest.mark.parametrize("case", CASES)
def test_iperf3(weir, case, server_side):
    server_on, client_on, addr = ((weir.on_weir, weir.on_kernel, WEIR_ADDR)
                                  if server_side == "weir" else
                                  (weir.on_kernel, weir.on_weir, KERNEL_ADDR))
    server = server_on("iperf3", "-s", "-1", "-J")
    if server_side == "weir":
        weir.wait_for_socket(5201)
    before, before_bytes = weir.ledger(), port_bytes(weir)
    log = client_on("iperf3", "-c", addr, "-t", "1", "-J", *CASES[case])
    # Until the server listens.
    while server_side == "kernel" and log.wait() and "unable to connect" in log.log():
        log = client_on("iperf3", "-c", addr, "-t", "1", "-J", *CASES[case])
    report = json.loads(log.done())
    assert server.wait(30) == 0, server.log()
    assert "error" not in report and "error" not in json.loads(server.log())
    check_report(weir, case, report, before, before_bytes)


def check_report(weir, case, report, before, before_bytes):
    end = report["end"]
    after = weir.ledger()
    delivered = after["delivered"] - before["delivered"]
    sent = after["transmitted"] - before["transmitted"]
    if "udp" in case:
        total = end["sum"]
        # No more was lost than was in flight when time was out.
        assert total["packets"] > 5000 and total["lost_percent"] < 1, total
        assert delivered + sent >= total["packets"] - total["lost_packets"]
        assert abs(total["bits_per_second"] - 100e6) < 10e6
        return
    sent_bytes, got_bytes = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
    if case == "both-ways":
        sent_bytes += end["sum_sent_bidir_reverse"]["bytes"]
        got_bytes += end["sum_received_bidir_reverse"]["bytes"]
    assert 0 < got_bytes <= sent_bytes
    # With the headers, and with ACKs.
    assert got_bytes < port_bytes(weir) - before_bytes < 1.2 * sent_bytes + (1 << 20)
    streams = 8 if case == "eight" else 2 if case == "both-ways" else 1
    assert len(end["streams"]) == streams
