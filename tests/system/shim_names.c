/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's resolver, asked in each of its ways; the answers on standard output. */
#include <netdb.h>
#include <resolv.h>

#include "shim_case.h"

static void put_addr(int family, const void *addr)
{
	char text[INET6_ADDRSTRLEN];

	printf(" %s", inet_ntop(family, addr, text, sizeof(text)));
}

static void put_sockaddr(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		put_addr(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr);
	else
		put_addr(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

/* addrinfo NAME FAMILY FLAGS */
static int do_addrinfo(char **a)
{
	struct addrinfo hints = { .ai_family = atoi(a[1]),
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = atoi(a[2]) };
	struct addrinfo *list;
	int r = getaddrinfo(a[0], "http", &hints, &list);

	if (r) {
		printf("%s\n", gai_strerror(r));
		return 0;
	}
	printf("%s:", list->ai_canonname ? list->ai_canonname : "-");
	for (struct addrinfo *i = list; i; i = i->ai_next)
		put_sockaddr(i->ai_addr);
	printf("\n");
	freeaddrinfo(list);
	return 0;
}

static void put_host(const struct hostent *h)
{
	if (!h) {
		printf("%s\n", hstrerror(h_errno));
		return;
	}
	printf("%s", h->h_name);
	for (char **alias = h->h_aliases; *alias; alias++)
		printf(" (%s)", *alias);
	printf(":");
	for (char **addr = h->h_addr_list; *addr; addr++)
		put_addr(h->h_addrtype, *addr);
	printf("\n");
}

/* host NAME: three spellings, which must agree */
static int do_host(char **a)
{
	struct hostent space, *h;
	char buffer[2048];
	int err;

	put_host(gethostbyname(a[0]));
	put_host(gethostbyname2(a[0], AF_INET));
	if (gethostbyname_r(a[0], &space, buffer, sizeof(buffer), &h, &err))
		return 1;
	h_errno = err;
	put_host(h);
	return 0;
}

/* addr A.B.C.D: getnameinfo and gethostbyaddr */
static int do_addr(char **a)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
	char host[256], service[32];
	int r;

	inet_pton(AF_INET, a[0], &in.sin_addr);
	r = getnameinfo((struct sockaddr *)&in, sizeof(in), host, sizeof(host), service,
			sizeof(service), NI_NAMEREQD);
	if (r)
		printf("%s\n", gai_strerror(r));
	else
		printf("%s %s\n", host, service);
	put_host(gethostbyaddr(&in.sin_addr, sizeof(in.sin_addr), AF_INET));
	return 0;
}

static void put_message(const unsigned char *message, int n)
{
	ns_msg msg;

	if (n < 0) {
		printf("%s\n", hstrerror(h_errno));
		return;
	}
	CHECK(ns_initparse(message, n, &msg) == 0);
	printf("code %d, %d answers\n", ns_msg_getflag(msg, ns_f_rcode),
	       ns_msg_count(msg, ns_s_an));
}

/* query NAME SEARCHNAME TYPE: res_query, res_search, and res_mkquery with res_send */
static int do_query(char **a)
{
	static unsigned char answer[65536];
	unsigned char question[512];
	int type = atoi(a[2]), n;

	CHECK(res_init() == 0);
	put_message(answer, res_query(a[0], C_IN, type, answer, sizeof(answer)));
	put_message(answer, res_search(a[1], C_IN, type, answer, sizeof(answer)));
	n = res_mkquery(QUERY, a[0], C_IN, type, NULL, 0, NULL, question, sizeof(question));
	CHECK(n > 0);
	put_message(answer, res_send(question, n, answer, sizeof(answer)));
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(char **args);
	} ways[] = {
		{ "addrinfo", 3, do_addrinfo },
		{ "host", 1, do_host },
		{ "addr", 1, do_addr },
		{ "query", 3, do_query },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[1], ways[i].name) == 0 && argc == 2 + ways[i].args)
			return ways[i].run(argv + 2);
	}
	return 2;
}
