/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's own things: pool, ledger, timers, randomness.
 */
#include "core/worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <rte_errno.h>

#include "core/pool.h"

/* splitmix64: spreads a small seed over all bits. */
static uint64_t worker_spread(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static int worker_seed(struct worker *w, uint64_t seed)
{
	struct {
		uint64_t rng[2];
		uint8_t secret[16];
	} random;

	if (seed) {
		uint64_t words[4], state = seed + w->id * 0x2545f4914f6cdd1dull;

		for (unsigned int i = 0; i < 4; i++)
			words[i] = worker_spread(&state);
		memcpy(&random, words, sizeof(random));
	} else if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		return -EIO;
	}
	memcpy(w->rng, random.rng, sizeof(w->rng));
	memcpy(w->secret, random.secret, sizeof(w->secret));
	w->rng[0] |= 1; /* never all zero */
	return 0;
}

/* With a seed everything is repeatable: then the time of day is the worker's own time. */
static uint64_t worker_wall_offset(uint64_t now_ns, uint64_t seed)
{
	struct timespec ts;

	if (seed || clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec - now_ns;
}

int worker_init(struct worker *w, unsigned int id, unsigned int n_packets, uint64_t now_ns,
		uint64_t seed)
{
	static atomic_uint serial;
	char name[RTE_MEMPOOL_NAMESIZE];
	int rc;

	memset(w, 0, sizeof(*w));
	w->id = id;
	w->now_ns = now_ns;
	w->wall_offset_ns = worker_wall_offset(now_ns, seed);
	timer_wheel_init(&w->timers, now_ns);
	rc = worker_seed(w, seed);
	if (rc != 0)
		return rc;
	rc = ledger_init(&w->ledger);
	if (rc != 0)
		return rc;
	snprintf(name, sizeof(name), "w%u.%u", id, atomic_fetch_add(&serial, 1));
	w->pool = pool_create(name, n_packets);
	if (!w->pool) {
		ledger_free(&w->ledger);
		return rte_errno ? -rte_errno : -ENOMEM;
	}
	return 0;
}

void worker_free(struct worker *w)
{
	pool_free(w->pool);
	w->pool = NULL;
	ledger_free(&w->ledger);
}

bool worker_pool_is_full(const struct worker *w)
{
	return pool_stack(w->pool)->count == w->pool->size;
}

/* xoroshiro128++ (Blackman and Vigna): fast, and good enough for ports and jitter. */
uint32_t worker_random(struct worker *w)
{
	uint64_t a = w->rng[0], b = w->rng[1], sum = a + b;
	uint64_t out = (sum << 17 | sum >> 47) + a;

	b ^= a;
	w->rng[0] = (a << 49 | a >> 15) ^ b ^ b << 21;
	w->rng[1] = b << 28 | b >> 36;
	return (uint32_t)(out >> 32);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
struct siphash {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl64(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static inline void siphash_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = rotl64(s->v1, 13) ^ s->v0;
	s->v0 = rotl64(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl64(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl64(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl64(s->v1, 17) ^ s->v2;
	s->v2 = rotl64(s->v2, 32);
}

static inline void siphash_word(struct siphash *s, uint64_t word)
{
	s->v3 ^= word;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= word;
}

uint64_t worker_hash(const struct worker *w, const void *data, uint32_t len)
{
	return secret_hash(w->secret, data, len);
}

uint64_t secret_hash(const uint8_t secret[16], const void *data, uint32_t len)
{
	const uint8_t *at = data;
	uint64_t key[2], word, last = (uint64_t)len << 56;
	struct siphash s;

	memcpy(key, secret, sizeof(key));
	s.v0 = key[0] ^ 0x736f6d6570736575ull;
	s.v1 = key[1] ^ 0x646f72616e646f6dull;
	s.v2 = key[0] ^ 0x6c7967656e657261ull;
	s.v3 = key[1] ^ 0x7465646279746573ull;
	for (; len >= 8; len -= 8, at += 8) {
		memcpy(&word, at, sizeof(word));
		siphash_word(&s, word);
	}
	word = 0;
	memcpy(&word, at, len);
	siphash_word(&s, last | word);
	s.v2 ^= 0xff;
	for (unsigned int i = 0; i < 4; i++)
		siphash_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
