/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C library's own functions behind the names that the shim takes over. Inside the shim every
 * such call is written R(name)(...): the pointer is looked up on first use, so that a call which
 * arrives before the shim's constructor works as well. Threads: any; resolving twice is harmless.
 * Those of raw.c are system calls of our own instead: the C library's sites are rewritten
 * (rewrite/) and would come back with a descriptor that is in our table.
 */
#ifndef WEIR_SHIM_REAL_H
#define WEIR_SHIM_REAL_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define REAL_CALLS(X)                                                                              \
	X(ssize_t, read, (int, void *, size_t))                                                    \
	X(ssize_t, readv, (int, const struct iovec *, int))                                        \
	X(ssize_t, write, (int, const void *, size_t))                                             \
	X(ssize_t, writev, (int, const struct iovec *, int))                                       \
	X(ssize_t, send, (int, const void *, size_t, int))                                         \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))   \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                     \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned int, int))                               \
	X(ssize_t, recv, (int, void *, size_t, int))                                               \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))           \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                           \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned int, int, struct timespec *))            \
	X(ssize_t, sendfile64, (int, int, off64_t *, size_t))                                      \
	X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned int))                 \
	X(ssize_t, pread64, (int, void *, size_t, off64_t))                                        \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off64_t, int))                        \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off64_t, int))                       \
	X(int, socket, (int, int, int))                                                            \
	X(int, socketpair, (int, int, int, int *))                                                 \
	X(int, bind, (int, const struct sockaddr *, socklen_t))                                    \
	X(int, connect, (int, const struct sockaddr *, socklen_t))                                 \
	X(int, listen, (int, int))                                                                 \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                \
	X(int, shutdown, (int, int))                                                               \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))                                   \
	X(int, setsockopt, (int, int, int, const void *, socklen_t))                               \
	X(int, sockatmark, (int))                                                                  \
	X(int, close, (int))                                                                       \
	X(int, close_range, (unsigned int, unsigned int, int))                                     \
	X(int, dup, (int))                                                                         \
	X(int, dup2, (int, int))                                                                   \
	X(int, dup3, (int, int, int))                                                              \
	X(int, fcntl64, (int, int, ...))                                                           \
	X(int, ioctl, (int, unsigned long, ...))                                                   \
	X(int, poll, (struct pollfd *, nfds_t, int))                                               \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
	X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                      \
	X(int, pselect,                                                                            \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
	X(int, epoll_create1, (int))                                                               \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                   \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))                                  \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))               \
	X(int, epoll_pwait2,                                                                       \
	  (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))             \
	X(pid_t, fork, (void))                                                                     \
	X(int, execve, (const char *, char *const *, char *const *))                               \
	X(int, fexecve, (int, char *const *, char *const *))                                       \
	X(int, execveat, (int, const char *, char *const *, char *const *, int))                   \
	X(int, posix_spawn,                                                                        \
	  (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,   \
	   char *const *, char *const *))                                                          \
	X(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *, int, int))         \
	X(int, posix_spawn_file_actions_addclosefrom_np, (posix_spawn_file_actions_t *, int))      \
	X(int, posix_spawn_file_actions_addopen,                                                   \
	  (posix_spawn_file_actions_t *, int, const char *, int, mode_t))                          \
	X(int, posix_spawn_file_actions_addchdir_np, (posix_spawn_file_actions_t *, const char *)) \
	X(int, posix_spawn_file_actions_addfchdir_np, (posix_spawn_file_actions_t *, int))         \
	X(int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t *))                      \
	X(int, posix_spawn_file_actions_destroy, (posix_spawn_file_actions_t *))                   \
	X(int, system, (const char *))                                                             \
	X(int, pclose, (FILE *))                                                                   \
	X(int, chroot, (const char *))                                                             \
	X(int, setuid, (uid_t))                                                                    \
	X(int, seteuid, (uid_t))                                                                   \
	X(int, setreuid, (uid_t, uid_t))                                                           \
	X(int, setresuid, (uid_t, uid_t, uid_t))                                                   \
	X(int, prctl, (int, ...))                                                                  \
	X(int, setrlimit64, (__rlimit_resource_t, const struct rlimit64 *))                        \
	X(int, prlimit64,                                                                          \
	  (pid_t, __rlimit_resource_t, const struct rlimit64 *, struct rlimit64 *))                \
	X(long, syscall, (long, ...))                                                              \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                     \
	X(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))   \
	X(int, pthread_sigmask, (int, const sigset_t *, sigset_t *))                               \
	X(void *, dlmopen, (long, const char *, int))                                              \
	X(int, thrd_create, (unsigned long *, int (*)(void *), void *))                            \
	X(FILE *, fdopen, (int, const char *))                                                     \
	X(int, vdprintf, (int, const char *, va_list))

#define REAL_DECLARE(ret, name, args) extern ret(*real_##name) args;
REAL_CALLS(REAL_DECLARE)
#undef REAL_DECLARE

/* Look all of them up. */
void real_resolve(void);
/* raw.c: those that the shim makes on descriptors of its own table pass the C library. */
void real_make_raw(void);

#define R(name)                                                                                    \
	(__builtin_expect(real_##name != NULL, 1) ? real_##name : (real_resolve(), real_##name))

#endif
