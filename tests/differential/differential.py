#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The differential test: one C program's transcript of what sockets do, on the kernel and on weir.

Both runs are in a network namespace of their own. Cases whose transcripts are the same are equal;
those that match a line of justified.txt (and differ) are justified; all others are unexplained and
printed side by side. A justification that no case needs any more is an error. Needs root.
"""
import argparse
import difflib
import fnmatch
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
import weirtest  # noqa: E402

SOURCES = ("main", "say", "sockets", "states", "life", "stream_io", "options", "fd", "signals",
           "waits", "zerocopy", "sigio", "ready")
JUSTIFIED = os.path.join(HERE, "justified.txt")
TIMEOUT = 300
# What cases do on purpose.
ON_PURPOSE = ("-Wno-nonnull", "-Wno-stringop-overflow", "-Wno-address")
PARTS = 8
WIDTH = 60


def compile_program(folder):
    path = os.path.join(folder, "differential")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror", *ON_PURPOSE,
                    "-o", path,
                    *(os.path.join(HERE, f"{name}.c") for name in SOURCES), "-lpthread"],
                   check=True, timeout=300)
    return path


def cases_of(text):
    """Name and lines of each case, in the order of the transcript, which must be whole."""
    assert text.endswith("==\n"), "the transcript has no end:\n" + text[-2000:]
    cases = {}
    lines = None
    for line in text.splitlines()[:-1]:
        if line.startswith("== "):
            lines = cases[line[3:]] = []
        else:
            lines.append(line)
    return cases


def differing(kernel, weir):
    """These are run once more, alone: on a busy machine a time-out may come before its event."""
    return [name for name in kernel if weir.get(name) != kernel[name]]


def parts_of(program, patterns, parts):
    """Most cases wait most of the time: several run at once."""
    return [[program, f"{i}/{parts}", *patterns] for i in range(parts)]


def together(programs):
    cases = {}
    try:
        for p in programs:
            cases.update(cases_of(p.done(TIMEOUT)))
    finally:
        for p in programs:
            p.kill_all()
    return cases


def same_parameters():
    """Of this namespace's kernel: where its defaults have changed since, weir's, which are an older
    kernel's."""
    with open("/proc/sys/net/ipv4/tcp_rmem", "w", encoding="ascii") as file:
        file.write("4096 131072 6291456")


def run_on_kernel(program, patterns, parts=PARTS):
    with weirtest.Namespace(), tempfile.TemporaryDirectory(prefix="weir-differential-") as folder:
        same_parameters()
        return together([weirtest.Program(f"part {argv[1]}", argv,
                                          os.path.join(folder, argv[1].replace("/", "-")))
                         for argv in parts_of(program, patterns, parts)])


def run_on_weir(weir, program, patterns, parts=PARTS):
    return together([weir.on_weir(*argv) for argv in parts_of(program, patterns, parts)])


class Justification:
    """A line "PATTERN: REASON"."""

    def __init__(self, line):
        self.pattern, _, self.reason = (part.strip() for part in line.partition(":"))
        assert self.pattern and self.reason, f"{JUSTIFIED}: a line without a reason: {line}"
        self.seen = 0


def justifications():
    with open(JUSTIFIED, encoding="utf-8") as file:
        return [Justification(line) for line in file
                if line.strip() and not line.startswith("#")]


def side_by_side(kernel, weir):
    rows = []
    matcher = difflib.SequenceMatcher(None, kernel, weir, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        left, right = kernel[a:b], weir[c:d]
        for i in range(max(len(left), len(right))):
            rows.append("    %-*s | %s" % (WIDTH, left[i] if i < len(left) else "",
                                           right[i] if i < len(right) else ""))
    return rows


class Result:
    """Of a comparison."""

    def __init__(self, kernel, weir, known, whole):
        self.equal = self.justified = 0
        self.total = len(kernel)
        self.unexplained = []
        self.rows = []
        self.compare(kernel, weir, known)
        self.stale = [j for j in known if whole and j.seen == 0]

    def compare(self, kernel, weir, known):
        for name in sorted(set(kernel) | set(weir)):
            ours, theirs = weir.get(name), kernel.get(name)
            if ours == theirs:
                self.equal += 1
                continue
            why = [j for j in known if fnmatch.fnmatchcase(name, j.pattern)]
            for j in why:
                j.seen += 1
            if why:
                self.justified += 1
            else:
                self.unexplained.append(name)
                self.rows += [f"{name}: kernel | weir"] + side_by_side(theirs or [], ours or [])

    def closing(self):
        return (f"{self.total} cases, {self.equal} equal, {self.justified} justified, "
                f"{len(self.unexplained)} unexplained")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern", nargs="*", help="cases to run (all)")
    parser.add_argument("--workers", type=int, default=1, help="of the daemon")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-differential-") as folder:
        os.chmod(folder, 0o755)
        program = compile_program(folder)
        kernel = run_on_kernel(program, args.pattern)
        with weirtest.Namespace(), \
                weirtest.Weir(ports=(), options=("--workers", str(args.workers))) as weir:
            ours = run_on_weir(weir, program, args.pattern)
            again = differing(kernel, ours)
            if again:
                ours.update(run_on_weir(weir, program, again, 1))
        if again:
            kernel.update(run_on_kernel(program, again, 1))
    result = Result(kernel, ours, justifications(), not args.pattern)
    print("\n".join(result.rows))
    for j in result.stale:
        print(f"no case differs any more: {j.pattern}: {j.reason}")
    print(result.closing())
    return 1 if result.unexplained or result.stale else 0


if __name__ == "__main__":
    sys.exit(main())
