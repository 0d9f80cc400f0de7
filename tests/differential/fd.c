/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked of a socket as a descriptor: dup, fcntl, ioctl, fstat, lseek and their like. */
#include "diff.h"

#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

OP(fd, ioctls, ALL_STATES)
{
	int v = -77;

	CALL(ioctl(e->s, FIONREAD, &v));
	say("  %d", v);
	v = -77;
	CALL(ioctl(e->s, SIOCINQ, &v));
	say("  %d", v);
	v = -77;
	if (CALL(ioctl(e->s, SIOCATMARK, &v)) == 0)
		say("  %d", v);
	CALL(ioctl(e->s, FIONBIO, &(int){ 1 }));
	CALL(fcntl(e->s, F_GETFL));
	CALL(ioctl(e->s, FIONBIO, &(int){ 0 }));
	CALL(fcntl(e->s, F_GETFL));
	CALL(ioctl(e->s, FIOASYNC, &(int){ 0 }));
	CALL(ioctl(e->s, FIOCLEX));
	CALL(fcntl(e->s, F_GETFD));
	CALL(ioctl(e->s, FIONCLEX));
	CALL(fcntl(e->s, F_GETFD));
	CALL(ioctl(e->s, 0x12345678, &v));
}

/* Empty on both sides: where something is in the buffers the two sides count differently. */
CASE(fd, outq)
{
	int a, b, v = -77;

	tcp_pair(&a, &b);
	CALL(ioctl(a, SIOCOUTQ, &v));
	say("  %d", v);
	CALL(ioctl(a, SIOCOUTQNSD, &v));
	say("  %d", v);
	MUST(send(a, "0123456789", 10, 0));
	until_sent(a);
	CALL(ioctl(a, SIOCOUTQ, &v));
	say("  %d", v);
}

OP(fd, file_calls, ALL_STATES)
{
	struct stat st;
	void *map;

	CALL(fstat(e->s, &st));
	say("  socket %d size %ld links %d", S_ISSOCK(st.st_mode), (long)st.st_size,
	    (int)st.st_nlink);
	CALL(lseek(e->s, 0, SEEK_CUR));
	CALL(lseek(e->s, 0, SEEK_END));
	CALL(isatty(e->s) ? 0 : -1);
	CALL(ftruncate(e->s, 0));
	CALL(fsync(e->s));
	CALL(fdatasync(e->s));
	CALL(posix_fadvise(e->s, 0, 0, POSIX_FADV_NORMAL));
	CALL(posix_fallocate(e->s, 0, 10));
	CALL(readahead(e->s, 0, 10));
	CALL(sync_file_range(e->s, 0, 10, 0));
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, e->s, 0);
	CALL(map == MAP_FAILED ? -1 : 0);
	CALL(fchdir(e->s));
	CALL(copy_file_range(e->s, NULL, e->s, NULL, 10, 0));
	CALL(tee(e->s, e->s, 10, 0));
	CALL(vmsplice(e->s, &(struct iovec){ "x", 1 }, 1, 0));
}

CASE(fd, inode)
{
	struct stat a, b, c;
	int s = new_tcp(), t = MUST(dup(s)), u = new_tcp();

	MUST(fstat(s, &a));
	MUST(fstat(t, &b));
	MUST(fstat(u, &c));
	say("same %d other %d", a.st_ino == b.st_ino, a.st_ino == c.st_ino);
}

CASE(fcntl, flags)
{
	int s = new_tcp();

	CALL(fcntl(s, F_SETFL, O_NONBLOCK | O_APPEND));
	CALL(fcntl(s, F_GETFL));
	CALL(fcntl(s, F_SETFL, O_ASYNC));
	CALL(fcntl(s, F_GETFL));
	CALL(fcntl(s, F_SETFL, 0));
	CALL(fcntl(s, F_GETFL));
	CALL(fcntl(s, F_SETFL, O_DIRECT));
	CALL(fcntl(s, F_SETFL, O_NOATIME | O_TRUNC | O_SYNC));
	CALL(fcntl(s, F_GETFL));
	CALL(fcntl(s, F_SETFL, 0));
	CALL(fcntl(s, F_SETFD, FD_CLOEXEC));
	CALL(fcntl(s, F_GETFD));
	CALL(fcntl(s, F_GETOWN));
	CALL(fcntl(s, F_SETOWN, 1 << 30));
	CALL(fcntl(s, F_GETSIG));
	CALL(fcntl(s, F_SETSIG, 1000));
	CALL(fcntl(s, F_SETSIG, SIGUSR1));
	CALL(fcntl(s, F_GETSIG) == SIGUSR1);
	CALL(fcntl(s, 9999));
	CALL(fcntl(s, F_GETPIPE_SZ));
	CALL(fcntl(s, F_GET_SEALS));
}

CASE(fd, dups)
{
	int s = new_tcp();

	FD(fcntl(s, F_DUPFD, 100));
	CALL(fcntl(s, F_DUPFD, -1));
	CALL(fcntl(s, F_DUPFD, 1 << 30));
	CALL(fcntl(s, F_DUPFD_CLOEXEC, 200));
	CALL(fcntl(200, F_GETFD));
	CALL(dup2(s, s) == s);
	CALL(dup2(s, 300));
	CALL(dup2(s, -1));
	CALL(dup2(-1, 300));
	CALL(dup3(s, s, 0));
	CALL(dup3(s, 301, O_CLOEXEC));
	CALL(dup3(s, 302, 0x1000));
	CALL(fcntl(301, F_GETFD));
	CALL(fcntl(s, F_SETFL, O_NONBLOCK));
	CALL(fcntl(300, F_GETFL));
	CALL(close_range(300, 301, 0));
	CALL(fcntl(300, F_GETFL));
	CALL(close_range(301, 300, 0));
	CALL(close_range(0, 1, 0x1000));
	CALL(close_range(100, 400, CLOSE_RANGE_CLOEXEC));
	CALL(fcntl(100, F_GETFD));
}

/* dup2 over a connected socket closes it. */
CASE(fd, dup_over)
{
	int a, b, c = new_tcp();

	tcp_pair(&a, &b);
	CALL(dup2(c, a) == a);
	until(b, POLLRDHUP);
	say_state(b);
	say_state(a);
}

CASE(fd, io_uring)
{
	char params[256] = { 0 };

	CALL(syscall(SYS_io_uring_setup, 4, params) < 0 ? -1 : 0);
}

CASE(fd, iovecs)
{
	static struct iovec many[1025];
	struct iovec bad[2] = { { "ab", 2 }, { "cd", (size_t)-1 } };
	struct msghdr m = { .msg_iov = many, .msg_iovlen = 1025 };
	int a, b;

	tcp_pair(&a, &b);
	CALL(writev(a, many, 1024));
	CALL(writev(a, many, 1025));
	CALL(writev(a, many, -1));
	CALL(readv(a, many, 1025));
	CALL(readv(a, many, -1));
	CALL(sendmsg(a, &m, 0));
	CALL(recvmsg(a, &m, MSG_DONTWAIT));
	CALL(writev(a, bad, 2));
	m.msg_iov = bad;
	m.msg_iovlen = 2;
	CALL(sendmsg(a, &m, MSG_DONTWAIT));
	m.msg_iovlen = (size_t)-1;
	CALL(sendmsg(a, &m, 0));
}

CASE(fd, null_pointers)
{
	struct msghdr m = { .msg_iov = NULL, .msg_iovlen = 1 };
	int a, b;

	tcp_pair(&a, &b);
	CALL(send(a, NULL, 5, 0));
	CALL(write(a, NULL, 5));
	CALL(writev(a, NULL, 1));
	CALL(sendmsg(a, NULL, 0));
	CALL(sendmsg(a, &m, 0));
	CALL(sendmmsg(a, NULL, 1, 0));
	MUST(send(b, "abc", 3, 0));
	until_bytes(a, 3);
	CALL(recv(a, NULL, 5, MSG_DONTWAIT));
	CALL(readv(a, NULL, 1));
	CALL(recvmsg(a, NULL, MSG_DONTWAIT));
	CALL(recvmsg(a, &m, MSG_DONTWAIT));
	CALL(ioctl(a, FIONREAD, NULL));
	CALL(ioctl(a, FIONBIO, NULL));
	CALL(ioctl(a, SIOCOUTQ, NULL));
	CALL(poll(NULL, 1, 0));
	CALL(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, a, NULL));
}
