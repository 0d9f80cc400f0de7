# SPDX-License-Identifier: BSD-3-Clause
"""Every spelling that the C library exports of a call on descriptors is one of the shim's too, or
there is a reason why not."""
import os
import re
import subprocess

import weirtest

CALLS = """
read write readv writev preadv2 pwritev2 preadv64v2 pwritev64v2 pread pwrite preadv pwritev
send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg sendfile splice tee vmsplice
copy_file_range aio_read aio_write lio_listio
socket socketpair bind connect listen accept accept4 shutdown getsockname getpeername getsockopt
setsockopt sockatmark isfdtype bindresvport rresvport rcmd
close close_range closefrom dup dup2 dup3 fcntl ioctl lseek fstat statx isatty ttyname tcgetattr
mmap fdopen dprintf vdprintf login_tty
poll ppoll select pselect epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
syscall fork _Fork vfork forkpty daemon execve execveat execv execvp execvpe execl execlp execle
fexecve posix_spawn posix_spawnp system popen pclose wordexp
sigaction signal bsd_signal sysv_signal ssignal siginterrupt sigset sigvec
getifaddrs freeifaddrs if_nametoindex if_indextoname if_nameindex if_freenameindex
""".split()

PLACEHOLDER = "the placeholder is a socket of the kernel's and answers as any socket does"
INSIDE = "made of calls inside the C library, whose sites are rewritten"
ATFORK = "runs the handlers of pthread_atfork(), which do what is to be done"
PRIVATE = "only for the C library's own parts; its site is rewritten"
OLD = "programs cannot be linked with it since 2.34 or earlier"

REASONS = {
    PLACEHOLDER: "fstat fstat64 __fxstat __fxstat64 __fstat64 statx lseek lseek64 __lseek "
                 "pread pread64 __pread64 __pread_chk __pread64_chk __libc_pread "
                 "__pread64_nocancel "
                 "pwrite pwrite64 __pwrite64 __libc_pwrite preadv preadv64 pwritev pwritev64 "
                 "isfdtype __mmap tee vmsplice copy_file_range",
    INSIDE: "aio_read aio_read64 aio_write aio_write64 lio_listio lio_listio64 bindresvport "
            "rresvport rcmd isatty ttyname tcgetattr login_tty wordexp",
    ATFORK: "fork __fork __libc_fork forkpty daemon",
    PRIVATE: "__close_nocancel __read_nocancel __write_nocancel __libc_fcntl64 __libc_sigaction "
             "__libc_system __socket",
    "stays with the kernel: it makes UNIX sockets": "socketpair",
    OLD: "sigvec",
}


def functions(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True,
                         text=True, timeout=60).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()
            if line.split()[-2] in "TWi"}


def libc_path():
    with open("/proc/self/maps", encoding="ascii") as f:
        return re.search(r"/\S+/libc\.so\.6", f.read()).group(0)


def plain(name):
    """The call that a spelling is one of."""
    name = re.sub(r"^(__libc_|__)", "", name)
    name = re.sub(r"(_nocancel|_chk)$", "", name)
    return {name, re.sub(r"64$", "", name), re.sub(r"^fxstat(64)?$", "fstat", name)}


def test_every_spelling_is_taken_over():
    shim = functions(os.path.join(weirtest.BUILD, "src", "shim", "libweir_shim.so"))
    spellings = {n for n in functions(libc_path()) if plain(n) & set(CALLS)}
    assert len(spellings) > 120  # the list was found
    excused = {n for names in REASONS.values() for n in names.split()}
    assert spellings - shim - excused == set(), "neither taken over nor excused"
    assert excused & shim == set(), "excused, but taken over"
