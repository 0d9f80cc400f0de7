/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture files: written by the maker of frames, and read again, or anybody's. */
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "conserve.h"

bool pcaps_write(const char *path, uint64_t seed, uint32_t n, char *error)
{
	static struct world w;
	static uint8_t frame[FRAME_MOST + 64];
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *out = dead ? pcap_dump_open(dead, path) : NULL;

	if (!out) {
		snprintf(error, ERROR_BYTES, "%s: %s", path,
			 dead ? pcap_geterr(dead) : "no memory");
		if (dead)
			pcap_close(dead);
		return false;
	}
	memset(&w, 0, sizeof(w));
	w.rng.state = seed;
	for (uint32_t i = 0; i < n; i++) {
		struct pcap_pkthdr h = { .ts = { .tv_sec = i / 1000000, .tv_usec = i % 1000000 } };

		h.len = h.caplen = make_frame(&w, frame);
		pcap_dump((u_char *)out, &h, frame);
	}
	pcap_dump_close(out);
	pcap_close(dead);
	return true;
}

struct pcaps {
	pcap_t *file;
	char path[4096];
	bool any; /* of this round */
};

struct pcaps *pcaps_open(const char *path, char *error)
{
	char words[PCAP_ERRBUF_SIZE] = "";
	struct pcaps *p = calloc(1, sizeof(*p));

	if (p)
		p->file = pcap_open_offline(path, words);
	if (p && p->file && pcap_datalink(p->file) == DLT_EN10MB) {
		snprintf(p->path, sizeof(p->path), "%s", path);
		return p;
	}
	snprintf(error, ERROR_BYTES, "%s: %s", path,
		 words[0] ? words : "it has no Ethernet frames");
	if (p && p->file)
		pcap_close(p->file);
	free(p);
	return NULL;
}

uint32_t pcaps_next(struct pcaps *p, uint8_t *frame)
{
	char words[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *h;
	const u_char *bytes;
	uint32_t len;

	while (pcap_next_ex(p->file, &h, &bytes) != 1) {
		if (!p->any)
			return 0;
		p->any = false;
		pcap_close(p->file);
		p->file = pcap_open_offline(p->path, words);
		if (!p->file)
			return 0;
	}
	p->any = true;
	len = h->caplen < FRAME_MOST ? h->caplen : FRAME_MOST;
	memcpy(frame, bytes, len);
	return len;
}

void pcaps_close(struct pcaps *p)
{
	if (p && p->file)
		pcap_close(p->file);
	free(p);
}
