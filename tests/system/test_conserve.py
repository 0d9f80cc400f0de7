# SPDX-License-Identifier: BSD-3-Clause
"""Conservation on a running weir: broken frames come in while real programs start and are killed,
and whenever anybody looks, every packet has an end. tests/conserve has a million such frames.

Random choices come from a seed that is printed; WEIR_CONSERVE_SEED repeats a run, and
WEIR_CONSERVE_SECONDS makes it longer.
"""
import os
import random
import threading
import time

import pytest
from test_chaos import everyday
from test_frames import ICMP, PACKETS, TCP, UDP, Ether, Raw, Wire, ip, kind_of
from weirtest import KERNEL_ADDR, WEIR_ADDR, make_file, pause

SECONDS = float(os.environ.get("WEIR_CONSERVE_SECONDS", "15"))
PROGRAMS = {"redis-server", "redis-benchmark", "http.server", "curl", "iperf3", "iperf3 -c",
            "asyncio", "threads", "forking", "datagrams", "ping", "tcpdump", "socat", "nc"}
BURST = 50


def right_frames(wire):
    """Frames to break: of every protocol, and those that test_frames has broken already."""
    header = Ether(src=wire.kernel_mac, dst=wire.weir_mac, type=0x0800)
    whole = [header / ip(id=7) / UDP(sport=9, dport=port) / Raw(b"x" * 50)
             for port in (7101, 5353, 5300, 7)]
    whole += [header / ip() / TCP(sport=9, dport=port, flags=flags, seq=1, ack=1) / Raw(b"y" * 40)
              for port in (6400, 8080, 7100, 7) for flags in ("S", "A", "PA", "FA", "R", "SA", "")]
    whole += [header / ip() / ICMP(type=kind) / Raw(b"z" * 60) for kind in (0, 3, 8, 11, 12)]
    whole += [header / ip(frag=at, flags=more, id=3) / Raw(b"f" * 64)
              for at, more in ((0, "MF"), (8, "MF"), (4, "MF"), (16, 0))]
    whole += [Ether(src=wire.kernel_mac, dst=wire.weir_mac, type=kind_of(name)) / make()
              for name, (make, _, _) in PACKETS.items()]
    return [bytes(frame) for frame in whole]


def broken(rng, frame):
    """Bits turned over, cut, or longer; a third of them as they are."""
    frame = bytearray(frame)
    what = rng.randrange(6)
    if what < 2:
        for _ in range(rng.randrange(1, 4)):
            frame[rng.randrange(12, min(len(frame), 70))] ^= 1 << rng.randrange(8)
    elif what == 2:
        del frame[rng.randrange(14, len(frame)):]
    elif what == 3:
        frame += rng.randbytes(rng.randrange(1, 1500 - len(frame)))
    return bytes(frame)


class Flood(threading.Thread):
    """Broken frames, burst by burst, until it is told to stop."""

    def __init__(self, weir, rng):
        super().__init__(daemon=True)
        self.wire = Wire(weir)  # opened here: the namespace is the thread's that asks
        self.rng, self.sent, self.over = rng, 0, threading.Event()

    def run(self):
        frames = right_frames(self.wire)
        while not self.over.is_set():
            for _ in range(BURST):
                try:
                    self.wire.socket.send(broken(self.rng, self.rng.choice(frames)))
                    self.sent += 1
                except OSError:  # the TAP's queue is full
                    break
            pause(0.005)


@pytest.mark.parametrize("workers", [1, 2])
def test_programs_are_killed_in_a_flood(make_weir, workers):
    chosen = int(os.environ.get("WEIR_CONSERVE_SEED", random.randrange(1 << 32)))
    print(f"WEIR_CONSERVE_SEED={chosen}")
    rng = random.Random(chosen)
    weir = make_weir(ports=((f"tap,name=weir0,addr={KERNEL_ADDR}/24,queues={workers}",
                             f"{WEIR_ADDR}/24"),), options=("--workers", str(workers)))
    weir.www = weir.tmp
    make_file(os.path.join(weir.tmp, "big.bin"), 1 << 20)
    flood = Flood(weir, random.Random(chosen + 1))
    flood.start()
    running, kills, looks = {}, 0, 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        name, argv = rng.choice([(n, a) for n, a in everyday(weir) if n in PROGRAMS])
        victim = running.pop(name, None)
        if victim:
            victim.kill_all()
            weir.programs.remove(victim)
            kills += 1
        else:
            running[name] = weir.on_weir(*argv)
        pause(rng.random() * 0.2)
        ledger = weir.ledger()
        assert ledger["balance"] == 0, ledger
        assert sum(d["count"] for d in ledger["drops"]) == ledger["dropped"]
        looks += 1
    flood.over.set()
    flood.join(20)
    for victim in running.values():
        victim.kill_all()
        weir.programs.remove(victim)
    ledger = weir.check_ledger(60)  # fragments wait for half a minute
    print(f"{flood.sent} frames, {kills} programs killed, {looks} looks, {ledger['entered']} "
          f"entered, {len({d['reason'] for d in ledger['drops']})} reasons")
    assert kills > 5 and flood.sent > 1000 and ledger["entered"] > flood.sent // 2
    assert len({d["reason"] for d in ledger["drops"]}) >= 20
