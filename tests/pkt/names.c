/* SPDX-License-Identifier: BSD-3-Clause */
#include "names.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "core/ledger.h"
#include "inet/tcp/info.h"
#include "script.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

#define N(x)                                                                                       \
	{                                                                                          \
#x, x                                                                              \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, 0                                                                            \
	}

const struct name names_errno[] = {
	N(EAGAIN),	 N(EINPROGRESS),  N(EALREADY),	 N(EISCONN),
	N(ENOTCONN),	 N(ECONNREFUSED), N(ECONNRESET), N(ETIMEDOUT),
	N(EPIPE),	 N(EINVAL),	  N(EADDRINUSE), N(EADDRNOTAVAIL),
	N(EHOSTUNREACH), N(ENETUNREACH),  N(EMSGSIZE),	 N(ENOBUFS),
	N(ENOMEM),	 N(EBADF),	  N(EOPNOTSUPP), N(ENOPROTOOPT),
	N(ECONNABORTED), N(EPROTO),	  N(ENOENT),	 N(EACCES),
	N(EDESTADDRREQ), N(EDOM),	  N(EPERM),	 N(EHOSTDOWN),
	N(ENOPROTOOPT),	 N(EMFILE),	  END,
};

const struct name names_poll[] = {
	{ "IN", POLLIN },
	{ "OUT", POLLOUT },
	{ "PRI", POLLPRI },
	{ "ERR", POLLERR },
	{ "HUP", POLLHUP },
	{ "RDHUP", POLLRDHUP },
	END,
};

const struct name names_msg[] = {
	{ "PEEK", MSG_PEEK },	    { "OOB", MSG_OOB },
	{ "MORE", MSG_MORE },	    { "DONTWAIT", MSG_DONTWAIT },
	{ "TRUNC", MSG_TRUNC },	    { "FASTOPEN", MSG_FASTOPEN },
	{ "WAITALL", MSG_WAITALL }, END,
};

const struct name names_how[] = {
	{ "RD", SHUT_RD },
	{ "WR", SHUT_WR },
	{ "RDWR", SHUT_RDWR },
	END,
};

const struct name names_state[] = {
	{ "ESTABLISHED", 1 },
	{ "SYN_SENT", 2 },
	{ "SYN_RECEIVED", 3 },
	{ "FIN_WAIT_1", 4 },
	{ "FIN_WAIT_2", 5 },
	{ "TIME_WAIT", 6 },
	{ "CLOSED", 7 },
	{ "CLOSE_WAIT", 8 },
	{ "LAST_ACK", 9 },
	{ "LISTEN", 10 },
	{ "CLOSING", 11 },
	{ "NONE", 0 },
	END,
};

const struct name names_ca_state[] = {
	{ "Open", TCP_CA_Open },	 { "Disorder", TCP_CA_Disorder }, { "CWR", TCP_CA_CWR },
	{ "Recovery", TCP_CA_Recovery }, { "Loss", TCP_CA_Loss },	  END,
};

const struct name names_reason[] = {
#define DROP(name, severity, linux_name, text) { #name, DROP_##name },
#include "core/drop.def"
#undef DROP
	END,
};

const struct name names_call[] = {
	{ "socket", CALL_SOCKET },
	{ "bind", CALL_BIND },
	{ "listen", CALL_LISTEN },
	{ "connect", CALL_CONNECT },
	{ "accept", CALL_ACCEPT },
	{ "send", CALL_SEND },
	{ "sendto", CALL_SENDTO },
	{ "recv", CALL_RECV },
	{ "shutdown", CALL_SHUTDOWN },
	{ "close", CALL_CLOSE },
	{ "setsockopt", CALL_SETSOCKOPT },
	{ "getsockopt", CALL_GETSOCKOPT },
	{ "poll", CALL_POLL },
	{ "sockatmark", CALL_SOCKATMARK },
	END,
};

const struct name *name_find(const struct name *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

const char *name_of(const struct name *table, int value)
{
	for (; table->name; table++)
		if (table->value == value)
			return table->name;
	return "?";
}

#define TCP_OPT(x)                                                                                 \
	{                                                                                          \
#x, IPPROTO_TCP, x                                                                 \
	}
#define SOCKET_OPT(x)                                                                              \
	{                                                                                          \
#x, SOL_SOCKET, x                                                                  \
	}

static const struct option_name option_names[] = {
	TCP_OPT(TCP_NODELAY),
	TCP_OPT(TCP_CORK),
	TCP_OPT(TCP_QUICKACK),
	TCP_OPT(TCP_MAXSEG),
	TCP_OPT(TCP_KEEPIDLE),
	TCP_OPT(TCP_KEEPINTVL),
	TCP_OPT(TCP_KEEPCNT),
	TCP_OPT(TCP_USER_TIMEOUT),
	TCP_OPT(TCP_SYNCNT),
	TCP_OPT(TCP_LINGER2),
	TCP_OPT(TCP_DEFER_ACCEPT),
	TCP_OPT(TCP_WINDOW_CLAMP),
	TCP_OPT(TCP_CONGESTION),
	TCP_OPT(TCP_FASTOPEN),
	TCP_OPT(TCP_FASTOPEN_KEY),
	TCP_OPT(TCP_FASTOPEN_CONNECT),
	TCP_OPT(TCP_FASTOPEN_NO_COOKIE),
	TCP_OPT(TCP_NOTSENT_LOWAT),
	TCP_OPT(TCP_MD5SIG),
	TCP_OPT(TCP_TIMESTAMP),
	TCP_OPT(TCP_SAVE_SYN),
	TCP_OPT(TCP_THIN_LINEAR_TIMEOUTS),
	TCP_OPT(TCP_REPAIR),
	SOCKET_OPT(SO_REUSEADDR),
	SOCKET_OPT(SO_REUSEPORT),
	SOCKET_OPT(SO_KEEPALIVE),
	SOCKET_OPT(SO_LINGER),
	SOCKET_OPT(SO_ERROR),
	SOCKET_OPT(SO_SNDBUF),
	SOCKET_OPT(SO_RCVBUF),
	SOCKET_OPT(SO_RCVLOWAT),
	SOCKET_OPT(SO_OOBINLINE),
	SOCKET_OPT(SO_MAX_PACING_RATE),
	{ "IP_TOS", IPPROTO_IP, IP_TOS },
	{ "IP_TTL", IPPROTO_IP, IP_TTL },
	{ "IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER },
	{ "IP_MTU", IPPROTO_IP, IP_MTU },
	{ "IP_RECVERR", IPPROTO_IP, IP_RECVERR },
};

const struct option_name *option_name_find(const char *name)
{
	for (unsigned int i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++)
		if (strcmp(option_names[i].name, name) == 0)
			return &option_names[i];
	return NULL;
}

/* name, the member without tcpi_, what 1 of it is in ns */
#define INFO_FIELDS(F)                                                                             \
	F(state, state, 0)                                                                         \
	F(ca_state, ca_state, 0)                                                                   \
	F(retransmits, retransmits, 0)                                                             \
	F(probes, probes, 0)                                                                       \
	F(backoff, backoff, 0)                                                                     \
	F(options, options, 0)                                                                     \
	F(snd_wscale, snd_wscale, 0)                                                               \
	F(rcv_wscale, rcv_wscale, 0)                                                               \
	F(app_limited, delivery_rate_app_limited, 0)                                               \
	F(fastopen_client_fail, fastopen_client_fail, 0)                                           \
	F(rto, rto, 1000)                                                                          \
	F(ato, ato, 1000)                                                                          \
	F(snd_mss, snd_mss, 0)                                                                     \
	F(rcv_mss, rcv_mss, 0)                                                                     \
	F(unacked, unacked, 0)                                                                     \
	F(sacked, sacked, 0)                                                                       \
	F(lost, lost, 0)                                                                           \
	F(retrans, retrans, 0)                                                                     \
	F(last_data_sent, last_data_sent, 1000000)                                                 \
	F(last_data_recv, last_data_recv, 1000000)                                                 \
	F(last_ack_recv, last_ack_recv, 1000000)                                                   \
	F(pmtu, pmtu, 0)                                                                           \
	F(rcv_ssthresh, rcv_ssthresh, 0)                                                           \
	F(rtt, rtt, 1000)                                                                          \
	F(rttvar, rttvar, 1000)                                                                    \
	F(ssthresh, snd_ssthresh, 0)                                                               \
	F(cwnd, snd_cwnd, 0)                                                                       \
	F(advmss, advmss, 0)                                                                       \
	F(reordering, reordering, 0)                                                               \
	F(rcv_rtt, rcv_rtt, 1000)                                                                  \
	F(rcv_space, rcv_space, 0)                                                                 \
	F(total_retrans, total_retrans, 0)                                                         \
	F(pacing_rate, pacing_rate, 0)                                                             \
	F(max_pacing_rate, max_pacing_rate, 0)                                                     \
	F(bytes_acked, bytes_acked, 0)                                                             \
	F(bytes_received, bytes_received, 0)                                                       \
	F(segs_out, segs_out, 0)                                                                   \
	F(segs_in, segs_in, 0)                                                                     \
	F(notsent_bytes, notsent_bytes, 0)                                                         \
	F(min_rtt, min_rtt, 1000)                                                                  \
	F(data_segs_in, data_segs_in, 0)                                                           \
	F(data_segs_out, data_segs_out, 0)                                                         \
	F(delivery_rate, delivery_rate, 0)                                                         \
	F(busy_time, busy_time, 1000)                                                              \
	F(rwnd_limited, rwnd_limited, 1000)                                                        \
	F(sndbuf_limited, sndbuf_limited, 1000)                                                    \
	F(delivered, delivered, 0)                                                                 \
	F(delivered_ce, delivered_ce, 0)                                                           \
	F(bytes_sent, bytes_sent, 0)                                                               \
	F(bytes_retrans, bytes_retrans, 0)                                                         \
	F(dsack_dups, dsack_dups, 0)                                                               \
	F(reord_seen, reord_seen, 0)                                                               \
	F(rcv_ooopack, rcv_ooopack, 0)                                                             \
	F(snd_wnd, snd_wnd, 0)                                                                     \
	F(fackets, fackets, 0)                                                                     \
	F(last_ack_sent, last_ack_sent, 1000000)
/* the same, of newer kernels */
#define INFO_FIELDS_NEW(F)                                                                         \
	F(rcv_wnd, rcv_wnd, 0)                                                                     \
	F(rehash, rehash, 0)                                                                       \
	F(total_rto, total_rto, 0)                                                                 \
	F(total_rto_recoveries, total_rto_recoveries, 0)                                           \
	F(total_rto_time, total_rto_time, 1000000)

static const struct {
	const char *name;
	uint64_t unit_ns;
} info_fields[] = {
#define F(name, member, unit) { #name, unit },
	INFO_FIELDS(F) INFO_FIELDS_NEW(F)
#undef F
};

#define INFO_FIELDS_N (sizeof(info_fields) / sizeof(info_fields[0]))

int info_field_find(const char *name)
{
	for (unsigned int i = 0; i < INFO_FIELDS_N; i++)
		if (strcmp(info_fields[i].name, name) == 0)
			return (int)i;
	return -1;
}

const char *info_field_name(int field)
{
	return info_fields[field].name;
}

uint64_t info_field_unit_ns(int field)
{
	return info_fields[field].unit_ns;
}

int64_t info_field_value(int field, const struct tcp_info_full *info)
{
	const int64_t value[] = {
#define F(name, member, unit) (int64_t) info->known.tcpi_##member,
		INFO_FIELDS(F)
#undef F
#define F(name, member, unit) (int64_t) info->tcpi_##member,
			INFO_FIELDS_NEW(F)
#undef F
	};

	return value[field];
}
