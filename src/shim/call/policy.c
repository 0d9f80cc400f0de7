/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `weir run --kernel NET`: what goes to an address in NET is the host's. Until a socket is bound or
 * speaks to somebody it could be either's, so it begins as weir's; the first bind(), connect() or
 * send to such an address puts a real socket of the kernel's at its descriptor and all dups of it,
 * with the options that were set so far, and into the epoll sets that have it. From then on the
 * shim has nothing to do with it, but that it does not let it speak to addresses that are weir's: a
 * datagram socket is on one side, the one of its first destination.
 */
#include "shim/shim.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/poll/epset.h"

#define NETS_MAX 64
#define WATCHES_MAX 64

struct net {
	struct ipaddr addr;
	unsigned int bits; /* of 128 */
};
static struct net nets[NETS_MAX];
unsigned int policy_nets;
static char text_kept[1024];

const char *policy_text(void)
{
	return policy_nets ? text_kept : NULL;
}

/* "10.0.0.0/8", "::1"; false: it is none. */
static bool parse(const char *text, size_t len, struct net *net)
{
	char copy[64], *slash, *end;
	struct in_addr in;
	unsigned long bits;

	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	bits = slash ? strtoul(slash + 1, &end, 10) : 128;
	if (inet_pton(AF_INET, copy, &in) == 1) {
		net->addr = ipaddr_from_ip4(in.s_addr);
		net->bits = slash ? 96 + (unsigned int)bits : 128;
	} else if (inet_pton(AF_INET6, copy, net->addr.b) == 1) {
		net->bits = (unsigned int)bits;
	} else {
		return false;
	}
	return (!slash || *end == '\0') && net->bits <= 128;
}

void policy_init(void)
{
	const char *text = getenv("WEIR_KERNEL"), *end;

	if (!text || !*text)
		return;
	snprintf(text_kept, sizeof(text_kept), "%s", text);
	for (; *text && policy_nets < NETS_MAX; text = *end ? end + 1 : end) {
		end = strchrnul(text, ',');
		policy_nets += parse(text, (size_t)(end - text), &nets[policy_nets]);
	}
}

static bool in_net(const struct ipaddr *a, const struct net *net)
{
	unsigned int whole = net->bits / 8, rest = net->bits % 8;

	return memcmp(a->b, net->addr.b, whole) == 0 &&
	       (rest == 0 || ((a->b[whole] ^ net->addr.b[whole]) & (0xff00 >> rest) & 0xff) == 0);
}

/* False: it is no address of the internet. */
static bool address_of(const struct sockaddr *sa, socklen_t len, struct ipaddr *addr)
{
	if (sa && sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		*addr = ipaddr_from_ip4(in.sin_addr.s_addr);
		return true;
	}
	if (sa && sa->sa_family == AF_INET6 &&
	    len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		memcpy(addr->b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
		       sizeof(addr->b));
		return true;
	}
	return false;
}

static bool is_kernels(const struct ipaddr *addr)
{
	for (unsigned int i = 0; i < policy_nets; i++) {
		if (in_net(addr, &nets[i]))
			return true;
	}
	return false;
}

/* ---- the replacement ---- */

/* What may have been set on a socket that is not bound yet. */
static const struct {
	int level, name;
} replayed[] = {
	{ SOL_SOCKET, SO_REUSEADDR },	 { SOL_SOCKET, SO_REUSEPORT },
	{ SOL_SOCKET, SO_KEEPALIVE },	 { SOL_SOCKET, SO_BROADCAST },
	{ SOL_SOCKET, SO_OOBINLINE },	 { SOL_SOCKET, SO_PRIORITY },
	{ SOL_SOCKET, SO_RCVLOWAT },	 { SOL_SOCKET, SO_LINGER },
	{ SOL_SOCKET, SO_RCVTIMEO },	 { SOL_SOCKET, SO_SNDTIMEO },
	{ SOL_SOCKET, SO_TIMESTAMP },	 { SOL_SOCKET, SO_TIMESTAMPNS },
	{ IPPROTO_IP, IP_TOS },		 { IPPROTO_IP, IP_TTL },
	{ IPPROTO_IP, IP_PKTINFO },	 { IPPROTO_IP, IP_RECVTTL },
	{ IPPROTO_IP, IP_RECVTOS },	 { IPPROTO_IP, IP_RECVERR },
	{ IPPROTO_IP, IP_MTU_DISCOVER }, { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
	{ IPPROTO_IPV6, IPV6_V6ONLY },	 { IPPROTO_TCP, TCP_NODELAY },
	{ IPPROTO_TCP, TCP_CORK },	 { IPPROTO_TCP, TCP_KEEPIDLE },
	{ IPPROTO_TCP, TCP_KEEPINTVL },	 { IPPROTO_TCP, TCP_KEEPCNT },
	{ IPPROTO_TCP, TCP_SYNCNT },	 { IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ IPPROTO_TCP, TCP_QUICKACK },
};

/* Those in which the two differ, which is: those that the program has set. */
static void replay(struct wsock *ws, int fd)
{
	for (size_t i = 0; i < sizeof(replayed) / sizeof(replayed[0]); i++) {
		int level = replayed[i].level, name = replayed[i].name;
		char ours[16] = "", theirs[16] = "";
		socklen_t n = sizeof(ours), m = sizeof(theirs);

		if (level == IPPROTO_TCP && ws->type != SOCK_STREAM)
			continue;
		if (call_getsockopt(ws, level, name, ours, &n) == 0 &&
		    R(getsockopt)(fd, level, name, theirs, &m) == 0 && n == m &&
		    memcmp(ours, theirs, n) != 0)
			R(setsockopt)(fd, level, name, ours, n);
	}
	if (wsock_nonblock(ws))
		R(fcntl64)(fd, F_SETFL, R(fcntl64)(fd, F_GETFL) | O_NONBLOCK);
}

struct watches {
	struct wsock *ws;
	struct {
		struct epset *ep;
		int fd;
		struct epoll_event event;
	} at[WATCHES_MAX];
	unsigned int n;
};

static void take_watches(struct epset *ep, void *arg)
{
	struct watches *w = arg;
	struct epkey key = epset_key(w->ws, 0);
	struct epitem *item;

	while (w->n < WATCHES_MAX && (item = epshare_first(ep->sh, key.sock, key.gen)) != NULL) {
		w->at[w->n].ep = ep;
		w->at[w->n].fd = item->fd;
		w->at[w->n].event.events = item->interest;
		w->at[w->n++].event.data.u64 = item->data;
		epshare_remove(ep->sh, item);
	}
}

static void watch_again(struct watches *w)
{
	for (unsigned int i = 0; i < w->n; i++)
		epset_ctl(w->at[i].ep, EPOLL_CTL_ADD, w->at[i].fd, &w->at[i].event);
}

/* At every descriptor of the socket. */
static void put_everywhere(struct wsock *ws, int kernel_fd)
{
	for (unsigned int fd = 0; fd < fdtab_top(); fd++) {
		int cloexec;
		struct obj *o;

		if (fd_sock((int)fd) != ws)
			continue;
		cloexec = R(fcntl64)((int)fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
		o = fdtab_take((int)fd);
		R(dup3)(kernel_fd, (int)fd, cloexec);
		if (o)
			obj_put(o);
	}
}

static int replace(struct wsock *ws)
{
	struct watches watches = { .ws = ws };
	int fd = R(socket)(ws->family, ws->type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	replay(ws, fd);
	left_count(ABI_OFF_EXCEPTION);
	if (atomic_load(&ws->watched))
		epset_each(take_watches, &watches);
	obj_get(&ws->obj);
	put_everywhere(ws, fd);
	watch_again(&watches);
	obj_put(&ws->obj);
	R(close)(fd);
	return 0;
}

static bool is_fresh(const struct wsock *ws)
{
	return !(atomic_load(&ws->opts) & WS_QUIET) &&
	       (!ws->shm || (ws->shm->local_port_be == 0 &&
			     !(atomic_load(&ws->shm->state) &
			       (ABI_S_LISTEN | ABI_S_CONNECTING | ABI_S_CONNECTED))));
}

static int wrong_side(const char *whose, const struct sockaddr *sa)
{
	struct ipaddr addr;
	char text[INET6_ADDRSTRLEN] = "?";

	if (address_of(sa, sizeof(struct sockaddr_in6), &addr))
		inet_ntop(sa->sa_family,
			  sa->sa_family == AF_INET ? (const void *)&addr.w[3] : addr.b, text,
			  sizeof(text));
	session_notef("%s is %s by --kernel %.20s, and the socket is not: refused", text, whose,
		      text_kept);
	return -ENETUNREACH;
}

int policy_apply(int fd, struct wsock *ws, const struct sockaddr *sa, socklen_t len)
{
	struct ipaddr addr;
	bool kernels;

	if (!address_of(sa, len, &addr))
		return 0;
	kernels = is_kernels(&addr);
	/* bind() to any address, and what is not for the internet at all. */
	if (ws && ipaddr_is_any(&addr))
		return 0;
	if (!ws)
		return kernels || ipaddr_is_any(&addr) || !policy_is_inet(fd)
			       ? 0
			       : wrong_side("weir's", sa);
	if (!kernels)
		return 0;
	if (!is_fresh(ws))
		return wrong_side("the host's", sa);
	return replace(ws);
}

/* A UNIX or netlink socket knows such addresses not at all; and what gave it one has its error. */
bool policy_is_inet(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return R(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6);
}
