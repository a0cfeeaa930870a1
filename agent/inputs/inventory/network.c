/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening ports with the process that holds them where /proc/PID/fd may be
 * read, interfaces with their addresses, routes.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inputs/inventory/inventory.h"
#include "agent/inputs/slurp.h"
#include "xalloc.h"

enum { SOCKETS_MAX = 4096, WORDS = 12, TCP_LISTEN = 0x0a, UDP_UNCONNECTED = 7 };

struct socket_line {
	uint64_t inode;
	char transport[8];
	char address[INET6_ADDRSTRLEN];
	unsigned port;
	unsigned long uid;
	char process[64]; /* empty: not known */
};

struct sockets {
	struct socket_line *at;
	size_t n;
	uint64_t dropped; /* beyond SOCKETS_MAX */
};

static unsigned long
number(struct slice s, int base)
{
	char text[32];

	if (s.len >= sizeof(text))
		return 0;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return strtoul(text, NULL, base);
}

/* "0100007F" or 32 digits: words of 32 bits, each in the machine's order. */
static bool
address(struct slice hex, char out[INET6_ADDRSTRLEN])
{
	uint32_t words[4];
	size_t n = hex.len / 8;

	if (hex.len != 8 && hex.len != 32)
		return false;
	for (size_t i = 0; i < n; i++)
		words[i] =
		    (uint32_t)number((struct slice){ hex.ptr + 8 * i, 8 }, 16);
	return inet_ntop(n == 1 ? AF_INET : AF_INET6, words, out,
		   INET6_ADDRSTRLEN) != NULL;
}

/* Ports that the kernel gives out to whoever asks: not worth a word. */
static unsigned
first_ephemeral(struct inventory *inv)
{
	struct slice rest, word;

	if (!slurp(inv->opener, "/proc/sys/net/ipv4/ip_local_port_range",
		&inv->file))
		return 32768;
	rest = buf_slice(&inv->file);
	return slurp_word(&rest, &word) ? (unsigned)number(word, 10) : 32768;
}

static void
one_socket(struct sockets *all, const char *transport, struct slice line,
    unsigned ephemeral)
{
	bool tcp = transport[0] == 't';
	struct slice w[WORDS], local, hex;
	struct socket_line s = { 0 };
	size_t n = 0;

	while (n < WORDS && slurp_word(&line, &w[n]))
		n++;
	if (n < 10 || number(w[3], 16) != (tcp ? TCP_LISTEN : UDP_UNCONNECTED))
		return;
	if (all->n == SOCKETS_MAX) {
		all->dropped++;
		return;
	}
	local = w[1];
	if (!slurp_field(&local, ':', &hex) || !address(hex, s.address))
		return;
	s.port = (unsigned)number(local, 16);
	if (!tcp && s.port >= ephemeral)
		return;
	s.uid = number(w[7], 10);
	s.inode = number(w[9], 10);
	(void)snprintf(s.transport, sizeof(s.transport), "%s", transport);
	all->at[all->n++] = s;
}

static void
read_sockets(struct inventory *inv, struct sockets *all)
{
	static const struct {
		const char *path, *transport;
	} files[] = { { "/proc/net/tcp", "tcp" }, { "/proc/net/tcp6", "tcp" },
		{ "/proc/net/udp", "udp" }, { "/proc/net/udp6", "udp" } };
	unsigned ephemeral = first_ephemeral(inv);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct slice rest, line;

		if (!slurp(inv->opener, files[i].path, &inv->file))
			continue;
		rest = buf_slice(&inv->file);
		(void)slurp_line(&rest, &line); /* the names of the columns */
		while (slurp_line(&rest, &line))
			one_socket(all, files[i].transport, line, ephemeral);
	}
}

static void
name_holder(struct sockets *all, uint64_t inode, const char *pid)
{
	char path[64];
	FILE *f;

	for (size_t i = 0; i < all->n; i++) {
		struct socket_line *s = &all->at[i];

		if (s->inode != inode || s->process[0] != '\0')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
		f = fopen(path, "re");
		if (f == NULL)
			return;
		if (fgets(s->process, sizeof(s->process), f) != NULL)
			s->process[strcspn(s->process, "\n")] = '\0';
		(void)fclose(f);
	}
}

/* Which of the sockets this process holds: its descriptors say "socket:[N]". */
static void
look_at_process(struct sockets *all, const char *pid)
{
	char path[64], target[64];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	d = opendir(path);
	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		if (n <= 8 || strncmp(target, "socket:[", 8) != 0)
			continue;
		target[n] = '\0';
		name_holder(all, strtoull(target + 8, NULL, 10), pid);
	}
	(void)closedir(d);
}

static void
name_processes(struct sockets *all)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	if (d == NULL)
		return;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			look_at_process(all, e->d_name);
	}
	(void)closedir(d);
}

static void
add_port(struct inventory *inv, const struct socket_line *s)
{
	struct json_writer ecs, more;
	char key[128], uid[32];

	(void)snprintf(key, sizeof(key), "%s/%s:%u", s->transport, s->address,
	    s->port);
	(void)snprintf(uid, sizeof(uid), "%lu", s->uid);
	inventory_begin(inv, &ecs, &more);
	json_key(&ecs, "network.transport");
	json_str(&ecs, s->transport);
	json_key(&ecs, "server");
	json_open(&ecs, '{');
	json_key(&ecs, "ip");
	json_str(&ecs, s->address);
	json_key(&ecs, "port");
	json_uint(&ecs, s->port);
	json_close(&ecs, '}');
	if (s->process[0] != '\0')
		inventory_text(inv, &ecs, "process.name",
		    (struct slice){ s->process, strlen(s->process) });
	json_key(&ecs, "user.id");
	json_str(&ecs, uid);
	inventory_add(inv, "port", (struct slice){ key, strlen(key) });
}

static void
ports(struct inventory *inv)
{
	struct sockets all = { xcalloc(SOCKETS_MAX, sizeof(struct socket_line)),
		0, 0 };

	read_sockets(inv, &all);
	name_processes(&all);
	for (size_t i = 0; i < all.n; i++)
		add_port(inv, &all.at[i]);
	inv->dropped += all.dropped;
	free(all.at);
}

/* One item for each interface, and one for each address. */
static void
put_interface(struct inventory *inv, const struct ifaddrs *i,
    struct json_writer *ecs, struct json_writer *more)
{
	inventory_begin(inv, ecs, more);
	inventory_text(inv, ecs, "observer.ingress.interface.name",
	    (struct slice){ i->ifa_name, strlen(i->ifa_name) });
	json_key(more, "up");
	json_bool(more, (i->ifa_flags & IFF_UP) != 0);
	json_key(more, "promiscuous");
	json_bool(more, (i->ifa_flags & IFF_PROMISC) != 0);
}

/* The interface itself: one that only listens has no address. */
static void
add_link(struct inventory *inv, const struct ifaddrs *i)
{
	const struct sockaddr_ll *link = (const void *)i->ifa_addr;
	struct json_writer ecs, more;
	char mac[3 * 6 + 1];
	size_t at = 0;

	put_interface(inv, i, &ecs, &more);
	for (size_t k = 0; link->sll_halen == 6 && k < 6; k++)
		at += (size_t)snprintf(mac + at, sizeof(mac) - at, "%s%02X",
		    k == 0 ? "" : "-", link->sll_addr[k]);
	if (at > 0) {
		json_key(&ecs, "host.mac");
		json_open(&ecs, '[');
		json_str(&ecs, mac);
		json_close(&ecs, ']');
	}
	inventory_add(inv, "interface",
	    (struct slice){ i->ifa_name, strlen(i->ifa_name) });
}

static void
interfaces(struct inventory *inv)
{
	struct ifaddrs *all = NULL;
	char text[INET6_ADDRSTRLEN], key[256];

	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		int family =
		    i->ifa_addr == NULL ? AF_UNSPEC : i->ifa_addr->sa_family;
		struct json_writer ecs, more;
		const void *at;

		if (family == AF_PACKET)
			add_link(inv, i);
		if (family != AF_INET && family != AF_INET6)
			continue;
		at = family == AF_INET
		    ? (const void *)&(
			  (const struct sockaddr_in *)(const void *)i->ifa_addr)
			  ->sin_addr
		    : (const void *)&(
			  (const struct sockaddr_in6 *)(const void *)
			      i->ifa_addr)
			  ->sin6_addr;
		if (inet_ntop(family, at, text, sizeof(text)) == NULL)
			continue;
		(void)snprintf(key, sizeof(key), "%s/%s", i->ifa_name, text);
		put_interface(inv, i, &ecs, &more);
		json_key(&ecs, "host.ip");
		json_open(&ecs, '[');
		json_str(&ecs, text);
		json_close(&ecs, ']');
		inventory_add(inv, "interface",
		    (struct slice){ key, strlen(key) });
	}
	freeifaddrs(all);
}

static void
add_route(struct inventory *inv, const char *to, int bits, const char *by,
    struct slice interface)
{
	struct json_writer ecs, more;
	char key[2 * INET6_ADDRSTRLEN + 64];

	(void)snprintf(key, sizeof(key), "%s/%d via %s dev %.*s", to, bits, by,
	    (int)(interface.len < 32 ? interface.len : 32), interface.ptr);
	inventory_begin(inv, &ecs, &more);
	json_key(&more, "destination");
	json_str(&more, to);
	json_key(&more, "prefix");
	json_int(&more, bits);
	json_key(&more, "gateway");
	json_str(&more, by);
	inventory_text(inv, &more, "interface", interface);
	inventory_add(inv, "route", (struct slice){ key, strlen(key) });
}

/* /proc/net/route: Iface Destination Gateway Flags ... Metric Mask */
static void
routes4(struct inventory *inv)
{
	struct slice rest, line, w[WORDS];

	if (!slurp(inv->opener, "/proc/net/route", &inv->file))
		return;
	rest = buf_slice(&inv->file);
	(void)slurp_line(&rest, &line);
	while (slurp_line(&rest, &line)) {
		char to[INET6_ADDRSTRLEN], by[INET6_ADDRSTRLEN];
		size_t n = 0;

		while (n < WORDS && slurp_word(&line, &w[n]))
			n++;
		if (n < 8 || !address(w[1], to) || !address(w[2], by))
			continue;
		add_route(inv, to, __builtin_popcountl(number(w[7], 16)), by,
		    w[0]);
	}
}

/* 32 digits, in the order of the address */
static bool
address6(struct slice hex, char out[INET6_ADDRSTRLEN])
{
	uint8_t bytes[16];

	if (hex.len != 2 * sizeof(bytes))
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] =
		    (uint8_t)number((struct slice){ hex.ptr + 2 * i, 2 }, 16);
	return inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN) != NULL;
}

/* /proc/net/ipv6_route: Destination Prefix Source Prefix Gateway Metric
 * References Uses Flags Iface */
static void
routes6(struct inventory *inv)
{
	/* RTF_LOCAL, RTF_ANYCAST, RTF_CACHE of linux/ipv6_route.h: the machine's
	 * own addresses, and what the kernel remembers */
	static const unsigned long own = 0x80000000 | 0x00100000 | 0x01000000;
	struct slice rest, line, w[WORDS];

	if (!slurp(inv->opener, "/proc/net/ipv6_route", &inv->file))
		return;
	for (rest = buf_slice(&inv->file); slurp_line(&rest, &line);) {
		char to[INET6_ADDRSTRLEN], by[INET6_ADDRSTRLEN];
		size_t n = 0;

		while (n < WORDS && slurp_word(&line, &w[n]))
			n++;
		if (n < 10 || !address6(w[0], to) || !address6(w[4], by))
			continue;
		/* a metric of all ones: "there is no way", always there */
		if ((number(w[8], 16) & own) == 0 &&
		    number(w[5], 16) != UINT32_MAX)
			add_route(inv, to, (int)number(w[1], 16), by, w[9]);
	}
}

void
inventory_network(struct inventory *inv)
{
	ports(inv);
	interfaces(inv);
	routes4(inv);
	routes6(inv);
}
