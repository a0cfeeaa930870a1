/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/enrich/sightings.h"

#include <pthread.h>
#include <stdlib.h>

#include "digest.h"
#include "timestamp.h"
#include "xalloc.h"

enum { SLOTS = 2 * SIGHTINGS_MAX, KEY_BYTES = 16 };

#define DAY_NS (86400 * NS_PER_SEC)

/* All zero: free. */
struct sighting {
	uint8_t key[KEY_BYTES];
};

struct sightings {
	pthread_mutex_t lock; /* of the rest */
	int64_t day;
	size_t n;
	struct sightings_counters counters;
	struct sha256 *sha;
	struct sighting slots[SLOTS];
};

struct sightings *
sightings_new(void)
{
	struct sightings *s = xzalloc(sizeof(*s));

	(void)pthread_mutex_init(&s->lock, NULL);
	s->sha = sha256_new();
	return s;
}

void
sightings_free(struct sightings *s)
{
	if (s == NULL)
		return;
	sha256_free(s->sha);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static void
begin_day(struct sightings *s, int64_t now_ns)
{
	int64_t day = now_ns / DAY_NS;

	/* pieces of both sides of midnight may be under way */
	if (day == s->day || day == s->day - 1)
		return;
	s->day = day;
	s->n = 0;
	memset(s->slots, 0, sizeof(s->slots));
}

/* A digest: names of strangers cannot be made to collide. */
static void
key_of(struct sightings *s, char kind, struct slice owner, struct slice name,
    struct sighting *out)
{
	uint8_t digest[SHA256_BYTES];

	sha256_add(s->sha, &kind, 1);
	sha256_add(s->sha, owner.ptr, owner.len);
	sha256_add(s->sha, "", 1);
	sha256_add(s->sha, name.ptr, name.len);
	sha256_done(s->sha, digest);
	memcpy(out->key, digest, sizeof(out->key));
}

/* Its slot, or the free one where it belongs. */
static struct sighting *
find_slot(struct sightings *s, const struct sighting *key)
{
	static const struct sighting none;
	uint32_t at;

	memcpy(&at, key->key, sizeof(at));
	for (at %= SLOTS;; at = (at + 1) % SLOTS) {
		struct sighting *slot = &s->slots[at];

		if (memcmp(slot, &none, sizeof(none)) == 0 ||
		    memcmp(slot, key, sizeof(*key)) == 0)
			return slot;
	}
}

bool
sightings_first(struct sightings *s, char kind, struct slice owner,
    struct slice name, int64_t now_ns)
{
	struct sighting key, *slot;
	bool first;

	(void)pthread_mutex_lock(&s->lock);
	begin_day(s, now_ns);
	key_of(s, kind, owner, name, &key);
	slot = find_slot(s, &key);
	first = memcmp(slot, &key, sizeof(key)) != 0;
	if (first && s->n == SIGHTINGS_MAX) {
		s->counters.left_out++;
		first = false;
	} else if (first) {
		*slot = key;
		s->n++;
		s->counters.told++;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return first;
}

void
sightings_counters(struct sightings *s, struct sightings_counters *out)
{
	(void)pthread_mutex_lock(&s->lock);
	*out = s->counters;
	(void)pthread_mutex_unlock(&s->lock);
}
