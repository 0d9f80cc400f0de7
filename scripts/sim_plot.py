#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draw what the simulator's connections looked like over time.

  sim_plot.py [--out FOLDER]                       a few telling runs, one PNG each
  sim_plot.py [--out FOLDER] NAME "NAME=VALUE..."  one run by its parameters (sim --help)

Three panels: congestion window (and slow start threshold, and what waits at the bottleneck), round
trip time, goodput. Recovery and time-outs are shaded.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SIM = os.path.join(TOP, "build/tests/sim/sim")
RECOVERY, LOSS = 3, 4
WINDOW_MS = 200  # of goodput's average, at least

RUNS = {
    "cubic-alone": "seconds=20 rate_kbit=20000 buffer=60000 delay_us=12000",
    "reno-alone": "cc=reno seconds=20 rate_kbit=20000 buffer=60000 delay_us=12000",
    "cubic-loss-1-percent": "seconds=20 rate_kbit=20000 buffer=60000 delay_us=20000 loss=0.01",
    "two-cubic": "flows=2 gap_us=4000000 seconds=40 rate_kbit=20000 buffer=60000 delay_us=12000",
    "cubic-beside-reno": "flows=2 cc2=reno gap_us=100000 seconds=40 rate_kbit=20000 buffer=60000 "
                         "delay_us=12000",
    "outage": "seconds=12 rate_kbit=20000 buffer=60000 delay_us=12000 outage_ms=4000 "
              "outage_len_ms=1500",
    "rate-and-delay-change": "seconds=24 rate_kbit=20000 buffer=60000 delay_us=12000 "
                             "change_ms=8000 rate2_kbit=8000 delay2_us=30000",
    "ecn": "ecn=1 seconds=20 rate_kbit=20000 buffer=120000 mark=40000 delay_us=12000",
    "bursts-of-loss": "seconds=20 rate_kbit=20000 buffer=60000 delay_us=12000 burst=0.001 "
                      "burst_end=0.1",
}


def simulate(params, path):
    done = subprocess.run([SIM, "--trace", path, params], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    verdict = [l for l in done.stdout.split("\n") if l.startswith(("passed", "FAILED"))]
    if not verdict:
        sys.exit(f"sim_plot: {SIM} failed:\n{done.stdout[-2000:]}")
    return verdict[0]


def read_flows(path):
    """{connection: [sample, ...]}, numbers as float."""
    flows = {}
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(l for l in file if not l.startswith("#")):
            sample = {k: v if k == "cc" else float(v) for k, v in row.items()}
            flows.setdefault(int(row["conn"]), []).append(sample)
    return flows


def goodput(samples):
    """(seconds, Mbit/s) over a window that moves."""
    times, rates = [], []
    first = 0
    for i, s in enumerate(samples):
        while s["ms"] - samples[first + 1]["ms"] >= WINDOW_MS and first + 1 < i:
            first += 1
        span = s["ms"] - samples[first]["ms"]
        if span >= WINDOW_MS:
            times.append(s["ms"] / 1000)
            rates.append((s["rx"] - samples[first]["rx"]) * 8 / span / 1000)
    return times, rates


def shade(axes, samples):
    """Spans in which the sender is in recovery or after a time-out."""
    for state, color in ((RECOVERY, "tab:orange"), (LOSS, "tab:red")):
        start = None
        for s in samples + [{"ms": samples[-1]["ms"], "state": -1}]:
            if s["state"] == state and start is None:
                start = s["ms"]
            elif s["state"] != state and start is not None:
                axes.axvspan(start / 1000, max(s["ms"], start + 10) / 1000, color=color,
                             alpha=0.25, linewidth=0)
                start = None


def draw(name, params, verdict, flows, path):
    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(11, 9), sharex=True)
    longest = max(flows.values(), key=len)
    for number, samples in sorted(flows.items()):
        t = [s["ms"] / 1000 for s in samples]
        label = f"{samples[0]['cc']}" + (f" {number + 1}" if len(flows) > 1 else "")
        line, = top.plot(t, [s["cwnd"] / s["mss"] for s in samples], label=label, linewidth=1.3)
        if len(flows) == 1:
            top.plot(t, [s["ssthresh"] / s["mss"] if s["ssthresh"] else None for s in samples],
                     label="ssthresh", linewidth=0.9, color="grey", linestyle="--")
        middle.plot(t, [s["srtt_us"] / 1000 for s in samples], label=label, color=line.get_color(),
                    linewidth=1.1)
        bottom.plot(*goodput(samples), label=label, color=line.get_color(), linewidth=1.3)
        if len(flows) == 1:
            for axes in (top, middle, bottom):
                shade(axes, samples)
    top.plot([s["ms"] / 1000 for s in longest], [s["queue"] / 1514 for s in longest],
             label="queue at the bottleneck", linewidth=0.7, color="tab:green", alpha=0.7)
    if len(flows) > 1:
        total = {}
        for samples in flows.values():
            for x, y in zip(*goodput(samples)):
                total[round(x, 2)] = total.get(round(x, 2), 0) + y
        xs = sorted(total)
        bottom.plot(xs, [total[x] for x in xs], label="together", color="grey", linewidth=0.8)
    top.set_ylabel("segments")
    middle.set_ylabel("smoothed RTT, ms")
    bottom.set_ylabel("goodput, Mbit/s")
    bottom.set_xlabel("seconds")
    for axes in (top, middle, bottom):
        axes.grid(True, alpha=0.3)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    shading = "; shaded: recovery, time-out" if len(flows) == 1 else ""
    top.set_title(f"{name}\n{params}{shading}", fontsize=9, loc="left")
    bottom.annotate(verdict, (0, -0.28), xycoords="axes fraction", fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(TOP, "build/sim-plots"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("params", nargs="?")
    args = parser.parse_args()
    runs = RUNS
    if args.name:
        if not args.params and args.name not in RUNS:
            parser.error(f"no such run: {args.name}; there are {', '.join(RUNS)}")
        runs = {args.name: args.params or RUNS[args.name]}
    os.makedirs(args.out, exist_ok=True)
    for name, params in runs.items():
        with tempfile.NamedTemporaryFile(suffix=".csv") as trace:
            verdict = simulate(params, trace.name)
            path = os.path.join(args.out, f"{name}.png")
            draw(name, params, verdict, read_flows(trace.name), path)
        print(f"sim_plot: {path}: {verdict}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
