/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program learns of the interfaces, one line for each thing. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const char *ip(const struct sockaddr *sa)
{
	static char text[4][INET_ADDRSTRLEN];
	static unsigned int n;
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

	n = (n + 1) % 4;
	return inet_ntop(AF_INET, &in->sin_addr, text[n], sizeof(text[n]));
}

static const char *mac(const uint8_t *b)
{
	static char text[2][18];
	static unsigned int n;

	n = (n + 1) % 2;
	snprintf(text[n], sizeof(text[n]), "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5]);
	return text[n];
}

static void lists(void)
{
	struct ifaddrs *all, *i;
	struct if_nameindex *names;

	if (getifaddrs(&all) != 0) {
		perror("getifaddrs");
		exit(1);
	}
	for (i = all; i; i = i->ifa_next) {
		const struct sockaddr_ll *ll = (const struct sockaddr_ll *)i->ifa_addr;
		const struct sockaddr_ll *broad = (const struct sockaddr_ll *)i->ifa_broadaddr;

		if (i->ifa_addr->sa_family == AF_PACKET)
			printf("link %d %s flags %x type %d mac %s broadcast %s data %d\n",
			       ll->sll_ifindex, i->ifa_name, i->ifa_flags, ll->sll_hatype,
			       mac(ll->sll_addr), mac(broad->sll_addr), i->ifa_data != NULL);
		else if (i->ifa_addr->sa_family == AF_INET)
			printf("addr %s %s mask %s broadcast %s\n", i->ifa_name, ip(i->ifa_addr),
			       ip(i->ifa_netmask), ip(i->ifa_broadaddr));
	}
	freeifaddrs(all);
	names = if_nameindex();
	for (struct if_nameindex *n = names; n && n->if_name; n++)
		printf("nameindex %u %s\n", n->if_index, n->if_name);
	if_freenameindex(names);
}

static void names(const char *const name[], unsigned int count)
{
	char text[IF_NAMESIZE];

	for (unsigned int i = 1; i <= count; i++) {
		if (if_indextoname(i, text))
			printf("name %u %s\n", i, text);
		else
			printf("name %u: %s\n", i, strerror(errno));
	}
	for (unsigned int i = 0; i < count; i++) {
		unsigned int index = if_nametoindex(name[i]);

		if (index)
			printf("index %s %u\n", name[i], index);
		else
			printf("index %s: %s\n", name[i], strerror(errno));
	}
}

static void conf(int fd, int room)
{
	struct ifreq list[8];
	struct ifconf ifc = { .ifc_len = 0, .ifc_req = NULL };
	int whole;

	if (ioctl(fd, SIOCGIFCONF, &ifc) != 0)
		perror("SIOCGIFCONF");
	whole = ifc.ifc_len;
	ifc.ifc_len = room;
	ifc.ifc_req = list;
	if (ioctl(fd, SIOCGIFCONF, &ifc) != 0)
		perror("SIOCGIFCONF");
	printf("conf %d of %d:", ifc.ifc_len, whole);
	for (int i = 0; i < ifc.ifc_len / (int)sizeof(list[0]); i++)
		printf(" %s %s", list[i].ifr_name, ip(&list[i].ifr_addr));
	printf("\n");
}

static void requests(int fd, const char *name)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFADDR, &r) != 0) {
		printf("ifreq %s: %s\n", name, strerror(errno));
		return;
	}
	printf("ifreq %s addr %s", name, ip(&r.ifr_addr));
	ioctl(fd, SIOCGIFNETMASK, &r);
	printf(" mask %s", ip(&r.ifr_netmask));
	ioctl(fd, SIOCGIFBRDADDR, &r);
	printf(" broadcast %s", ip(&r.ifr_broadaddr));
	ioctl(fd, SIOCGIFMTU, &r);
	printf(" mtu %d", r.ifr_mtu);
	ioctl(fd, SIOCGIFTXQLEN, &r);
	printf(" txqlen %d", r.ifr_qlen);
	ioctl(fd, SIOCGIFFLAGS, &r);
	printf(" flags %x", (unsigned short)r.ifr_flags);
	ioctl(fd, SIOCGIFHWADDR, &r);
	printf(" type %d mac %s", r.ifr_hwaddr.sa_family, mac((uint8_t *)r.ifr_hwaddr.sa_data));
	ioctl(fd, SIOCGIFMETRIC, &r);
	printf(" metric %d", r.ifr_metric);
	ioctl(fd, SIOCGIFINDEX, &r);
	printf(" index %d", r.ifr_ifindex);
	ioctl(fd, SIOCGIFNAME, &r);
	printf(" name %s", r.ifr_name);
	r.ifr_data = (void *)&link;
	ioctl(fd, SIOCETHTOOL, &r);
	printf(" link %u\n", link.data);
}

int main(void)
{
	static const char *const name[] = { "lo", "weir0", "weir9" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	lists();
	names(name, 3);
	conf(fd, 2 * (int)sizeof(struct ifreq) + 3);
	for (unsigned int i = 0; i < 3; i++)
		requests(fd, name[i]);
	return 0;
}
