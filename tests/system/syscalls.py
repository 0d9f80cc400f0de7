# SPDX-License-Identifier: BSD-3-Clause
"""Counting the system calls of running processes, without slowing them down: a perf counter on the
tracepoint raw_syscalls:sys_enter for each of their threads."""
import ctypes
import fcntl
import os
import struct
import subprocess
import tempfile

PERF_EVENT_OPEN = 298  # x86-64
PERF_TYPE_TRACEPOINT = 2
PERF_IOC_SET_FILTER = 0x40082406
PERF_FLAG_FD_CLOEXEC = 8
INHERIT = 1 << 1
SCHED_YIELD = 24
EVENT = "events/raw_syscalls/sys_enter/id"

libc = ctypes.CDLL(None, use_errno=True)


def tracepoint_id():
    for place in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
        path = os.path.join(place, EVENT)
        if os.path.exists(path):
            with open(path, encoding="ascii") as f:
                return int(f.read())
    folder = tempfile.mkdtemp(prefix="weir-tracefs-")
    try:
        subprocess.run(["mount", "-t", "tracefs", "nodev", folder], check=True, timeout=10)
        try:
            with open(os.path.join(folder, EVENT), encoding="ascii") as f:
                return int(f.read())
        finally:
            subprocess.run(["umount", folder], check=True, timeout=10)
    finally:
        os.rmdir(folder)


def open_counter(event, tid):
    # struct perf_event_attr: type, size, config, sample period, sample type, read format, flags
    attr = struct.pack("=IIQQQQQ", PERF_TYPE_TRACEPOINT, 64, event, 0, 0, 0, INHERIT)
    attr = attr.ljust(64, b"\0")
    fd = libc.syscall(PERF_EVENT_OPEN, attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "perf_event_open")
    fcntl.ioctl(fd, PERF_IOC_SET_FILTER, f"id != {SCHED_YIELD}\0".encode())
    return fd


class SystemCalls:
    """Counts from the moment it is entered; sched_yield is not counted."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        event = tracepoint_id()
        self.counters = [[open_counter(event, int(tid)) for tid in os.listdir(f"/proc/{pid}/task")]
                         for pid in self.pids]
        return self

    def read(self):
        """For each process: the system calls so far."""
        return [sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in fds) for fds in self.counters]

    def __exit__(self, *_):
        for fds in self.counters:
            for fd in fds:
                os.close(fd)
