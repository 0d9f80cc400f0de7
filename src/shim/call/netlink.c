/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Netlink sockets of the families NETLINK_ROUTE and NETLINK_SOCK_DIAG. The descriptor is an end of
 * a pair of UNIX sockets whose other end weird has, which answers there as the kernel would, for
 * weir's network. Waiting, descriptors and processes are therefore the kernel's affair; here are
 * only the addresses, which look like netlink's. Other families (audit, netfilter, uevents, ...)
 * stay the kernel's.
 *
 * Groups may be joined and stay silent: what they tell of, weir's network, does not change while
 * weird runs.
 */
#include "shim/interpose/raw.h"
#include "shim/shim.h"

#include <linux/netlink.h>
#include <sys/syscall.h>
#include <unistd.h>

struct nlsock {
	struct obj obj;
	uint32_t portid;
	uint32_t groups;
	uint8_t type, protocol;
	bool connected;
};

static struct lock free_lock;
static struct obj *free_first;
static _Atomic uint32_t made; /* of this process */

void netlink_free(struct nlsock *nl)
{
	lock_take(&free_lock);
	nl->obj.next_free = free_first;
	free_first = &nl->obj;
	lock_drop(&free_lock);
}

static struct nlsock *netlink_new(void)
{
	struct nlsock *nl;
	struct obj *o;

	lock_take(&free_lock);
	o = free_first;
	if (o)
		free_first = o->next_free;
	lock_drop(&free_lock);
	nl = o ? (struct nlsock *)(void *)o : slab_more(sizeof(*nl));
	if (!nl)
		return NULL;
	memset(nl, 0, sizeof(*nl));
	nl->obj.kind = OBJ_NETLINK;
	atomic_store(&nl->obj.refs, 1);
	return nl;
}

void netlink_lock(bool take)
{
	if (take)
		lock_take(&free_lock);
	else
		lock_drop(&free_lock);
}

/* netlink(7): the process's number for its first socket, and numbers that are none for others. */
static uint32_t choose_portid(void)
{
	uint32_t n = atomic_fetch_add(&made, 1);

	return n == 0 ? (uint32_t)getpid() : UINT32_MAX - 4096 - n;
}

bool netlink_is_ours(int protocol)
{
	return protocol == NETLINK_ROUTE || protocol == NETLINK_SOCK_DIAG;
}

static int open_pair(int flags, const struct nlsock *nl, int *fd)
{
	struct abi_msg msg = { .type = ABI_MSG_NETLINK, .version = ABI_VERSION };
	int pair[2], err;

	if (R(socketpair)(AF_UNIX, SOCK_SEQPACKET | flags, 0, pair) < 0)
		return -errno;
	msg.arg[0] = nl->portid;
	msg.arg[1] = nl->protocol;
	err = session_request(&msg, pair[1]);
	R(close)(pair[1]);
	if (err)
		R(close)(pair[0]);
	*fd = pair[0];
	return err;
}

int netlink_socket(int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct nlsock *nl;
	int fd, err;

	if (kind != SOCK_RAW && kind != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	err = session_attach();
	if (err)
		return err;
	nl = netlink_new();
	if (!nl)
		return -ENOMEM;
	nl->type = (uint8_t)kind;
	nl->protocol = (uint8_t)protocol;
	nl->portid = choose_portid();
	err = open_pair(type & (SOCK_NONBLOCK | SOCK_CLOEXEC), nl, &fd);
	if (!err && (unsigned int)fd >= FD_MAX) {
		R(close)(fd);
		err = -EMFILE;
	}
	if (err) {
		obj_put(&nl->obj);
		return err;
	}
	fdtab_set(fd, &nl->obj);
	return fd;
}

/* ---- addresses ---- */

static int address_in(const struct sockaddr *sa, socklen_t len, struct sockaddr_nl *nl)
{
	if (!sa)
		return -EFAULT;
	if (len < sizeof(*nl))
		return -EINVAL;
	memcpy(nl, sa, sizeof(*nl));
	return nl->nl_family == AF_NETLINK ? 0 : -EINVAL;
}

static void address_out(uint32_t portid, uint32_t groups, struct sockaddr *sa, socklen_t *len)
{
	const struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
					.nl_pid = portid,
					.nl_groups = groups };

	memcpy(sa, &nl, *len < sizeof(nl) ? *len : sizeof(nl));
	*len = sizeof(nl);
}

int netlink_bind(struct nlsock *nl, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct nlmsghdr tell = { .nlmsg_len = sizeof(tell), .nlmsg_type = ABI_NETLINK_PORTID };
	struct sockaddr_nl at;
	int err = address_in(sa, len, &at);

	if (err)
		return err;
	if (at.nl_pid && at.nl_pid != nl->portid) {
		tell.nlmsg_pid = at.nl_pid;
		err = (int)raw_syscall6(SYS_sendto, fd, (long)&tell, sizeof(tell), MSG_NOSIGNAL, 0,
					0);
		if (err < 0)
			return err;
		nl->portid = at.nl_pid;
	}
	nl->groups = at.nl_groups;
	return 0;
}

/* Only the kernel's own address has anybody. */
static int check_peer(const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_nl to;
	int err = address_in(sa, len, &to);

	if (err)
		return err;
	if (to.nl_groups)
		return -EPERM;
	return to.nl_pid ? -ECONNREFUSED : 0;
}

int netlink_connect(struct nlsock *nl, const struct sockaddr *sa, socklen_t len)
{
	int err = 0;

	if (sa && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC) {
		nl->connected = false;
		return 0;
	}
	err = check_peer(sa, len);
	nl->connected |= !err;
	return err;
}

int netlink_getname(const struct nlsock *nl, bool peer, struct sockaddr *sa, socklen_t *len)
{
	if (!sa || !len)
		return -EFAULT;
	address_out(peer ? 0 : nl->portid, peer ? 0 : nl->groups, sa, len);
	return 0;
}

/* ---- messages ---- */

ssize_t netlink_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr bare = *msg;
	ssize_t n;

	if (msg->msg_name && msg->msg_namelen) {
		int err = check_peer(msg->msg_name, msg->msg_namelen);

		if (err)
			return err;
	}
	bare.msg_name = NULL;
	bare.msg_namelen = 0;
	n = raw_syscall3(SYS_sendmsg, fd, (long)&bare, flags | MSG_NOSIGNAL);
	return n == -EPIPE || n == -ECONNRESET ? -ENETDOWN : n;
}

ssize_t netlink_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *sa,
		       socklen_t sa_len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	const struct msghdr msg = { .msg_name = (void *)(uintptr_t)sa,
				    .msg_namelen = sa ? sa_len : 0,
				    .msg_iov = &iov,
				    .msg_iovlen = 1 };

	return netlink_sendmsg(fd, &msg, flags);
}

/* An empty answer is the end of weird: netlink has none, and who reads would read on for ever. */
ssize_t netlink_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct sockaddr *name = msg->msg_name;
	socklen_t room = msg->msg_namelen;
	ssize_t n;

	msg->msg_name = NULL;
	n = raw_syscall3(SYS_recvmsg, fd, (long)msg, flags);
	msg->msg_name = name;
	msg->msg_namelen = room;
	if (n <= 0)
		return n == 0 || n == -ECONNRESET ? -ENETDOWN : n;
	if (name)
		address_out(0, 0, name, &msg->msg_namelen);
	return n;
}

ssize_t netlink_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *sa,
			 socklen_t *sa_len)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (sa && sa_len) {
		msg.msg_name = sa;
		msg.msg_namelen = *sa_len;
	}
	n = netlink_recvmsg(fd, &msg, flags);
	if (n > 0 && sa && sa_len)
		*sa_len = msg.msg_namelen;
	return n;
}

/* ---- options ---- */

int netlink_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == SOL_NETLINK)
		return len < sizeof(int) || !value ? -EINVAL : 0;
	return (int)raw_syscall6(SYS_setsockopt, fd, level, name, (long)value, len, 0);
}

int netlink_getsockopt(const struct nlsock *nl, int fd, int level, int name, void *value,
		       socklen_t *len)
{
	int answer = 0;

	if (level == SOL_SOCKET && name == SO_DOMAIN)
		answer = AF_NETLINK;
	else if (level == SOL_SOCKET && name == SO_TYPE)
		answer = nl->type;
	else if (level == SOL_SOCKET && name == SO_PROTOCOL)
		answer = nl->protocol;
	else if (level != SOL_NETLINK)
		return (int)raw_syscall6(SYS_getsockopt, fd, level, name, (long)value, (long)len,
					 0);
	if (len && level == SOL_NETLINK && name == NETLINK_LIST_MEMBERSHIPS) {
		*len = 0; /* of no group; asked without room for an answer */
		return 0;
	}
	if (!value || !len)
		return -EFAULT;
	if (*len > sizeof(answer))
		*len = sizeof(answer);
	memcpy(value, &answer, *len);
	return 0;
}
