# SPDX-License-Identifier: BSD-3-Clause
"""What watching the host kernel's drops costs, per drop: `weir dropwatch --kernel` beside perf and
bpftrace. Part of bench.py.

drops.c sends frames over a veth pair; the kernel drops each on the same CPU before the send ends.
What is measured with nothing attached, before and behind each tool, is taken off. In the rows
"kernel" is the cheapest of the other tools that gives the like:

  dropwatch_kernel_count_ns    counts: weir; bpftrace, a count for each place in a map; perf record
  dropwatch_kernel_filter_ns   the same with a packet filter, which the others do not have
  dropwatch_kernel_packet_ns   weir: each drop with its packet (60 bytes), all of them in the queue;
                               perf record: a record for each, without the packet
  dropwatch_kernel_stack_ns    counts by stack; perf record -g
"""
import json
import os
import shutil
import signal
import statistics
import subprocess

NAMES = ["dropwatch_kernel_count_ns", "dropwatch_kernel_filter_ns", "dropwatch_kernel_packet_ns",
         "dropwatch_kernel_stack_ns"]
DROPS = 100000
COUNT_OF_EACH_PLACE = "tracepoint:skb:kfree_skb { @[args->location] = count(); }"
# perf and bpftrace want tracefs: it is mounted for them alone where it is not.
IN_TRACEFS = ["unshare", "--mount", "sh", "-c", "test -d /sys/kernel/tracing/events || "
              "mount -t tracefs none /sys/kernel/tracing; exec \"$@\"", "sh"]


def tools(weir, out):
    """{name: [(case, command)]}"""
    ours = [weir, "dropwatch", "--kernel", "--json"]
    perf = ["perf", "record", "-q", "-e", "skb:kfree_skb", "-a", "-o", out]
    counting = [("perf record", perf), ("bpftrace", ["bpftrace", "-e", COUNT_OF_EACH_PLACE])]
    return {
        NAMES[0]: [("weir", ours)] + counting,
        NAMES[1]: [("weir", ours + ["--filter", "ether proto 0x88b5"])] + counting,
        NAMES[2]: [("weir", ours + ["--packet", "--queue", "250000", "--trunc", "64"]),
                   ("perf record", perf)],
        NAMES[3]: [("weir", ours + ["--stack"]), ("perf record -g", perf + ["-g"])],
    }


def make_link():
    """A veth pair in our namespace."""
    subprocess.run(["ip", "link", "add", "bva", "type", "veth", "peer", "name", "bvb"], check=True)
    for name in ("bva", "bvb"):
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as f:
            f.write("1")
        subprocess.run(["ip", "link", "set", name, "up"], check=True)


def attached(pid):
    """Whether a process has something at a tracepoint."""
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if "perf_event" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                return True
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as info:
                if "link_type:" in info.read():
                    return True
    except OSError:
        pass
    return False


class Drops:
    def __init__(self, bench, side):
        self.bench, self.side = bench, side
        self.drops = os.path.join(bench.options.build, "tests", "bench", "drops")
        self.out = os.path.join(bench.tmp, "perf.data")

    def nanoseconds(self):
        # The last CPU: the others are for who reads.
        argv = ["taskset", "-c", str(os.cpu_count() - 1), self.drops, "bva", str(DROPS)]
        return json.loads(self.bench.run(self.side, argv))["ns"]

    def with_tool(self, command):
        process = self.bench.start(self.side, IN_TRACEFS + command)
        try:
            self.bench.wait(lambda: attached(process.pid), process, "%s watches" % command[0], 30)
            # perf has its events before it enables them: by then one round has been in vain.
            self.nanoseconds()
            return self.nanoseconds()
        finally:
            self.bench.stop(process, signal.SIGINT)
            if os.path.exists(self.out):
                os.unlink(self.out)

    def one_round(self, cases):
        """What each tool adds to a drop with nothing attached, just before and just behind."""
        added = {}
        for case, command in cases:
            if not os.path.exists(command[0]) and not shutil.which(command[0]):
                continue
            before = self.nanoseconds()
            with_it = self.with_tool(command)
            added[case] = with_it - (before + self.nanoseconds()) / 2
        return added


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values),
            "runs": len(values)}


def row_of(name, samples):
    cases = {case: spread(values) for case, values in samples.items()}
    weir = cases.pop("weir", None)
    best = min(cases, key=lambda case: cases[case]["median"]) if cases else None
    ratio = round(cases[best]["median"] / max(weir["median"], 1), 3) if weir and best else None
    return {"name": name, "unit": "ns a drop", "better": "lower", "weir": weir,
            "kernel": cases.get(best), "ratio": ratio, "kernel_case": best, "kernel_cases": cases}


def rows(bench, side, failure):
    """Rows as bench.py has them; failure: its exception."""
    only = bench.options.only
    if only and not set(NAMES) & set(only):
        return []
    make_link()
    drops = Drops(bench, side)
    weir = os.path.join(bench.options.build, "src", "bin", "weir")
    found = []
    for name, cases in tools(weir, drops.out).items():
        if only and name not in only:
            continue
        samples = {}
        for number in range(bench.options.rounds):
            print("  %s, round %d/%d ..." % (name, number + 1, bench.options.rounds), end=" ",
                  flush=True)
            try:
                values = drops.one_round(cases)
            except (failure, ValueError, KeyError) as why:
                bench.note("%s failed: %s" % (name, why))
                continue
            print(", ".join("%s %.4g" % item for item in values.items()), flush=True)
            for case, value in values.items():
                samples.setdefault(case, []).append(value)
        if samples:
            found.append(row_of(name, samples))
    return found
