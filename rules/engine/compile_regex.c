/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of one field as one Hyperscan database.  What Hyperscan
 * refuses as it stands is widened and verified by PCRE2; what it refuses even
 * so is tried by PCRE2 alone.
 */
#include <stdlib.h>

#include "compile.h"
#include "xalloc.h"

/* What has become of an expression; kept in the cache. */
enum fate { AS_WRITTEN, WIDENED, REFUSED };

struct regex_set {
	const char **texts; /* owned, as each text */
	size_t *lens;
	unsigned *flags;
	uint8_t *fates;
	uint32_t n;
};

unsigned
compile_hs_flags(uint8_t flags)
{
	unsigned out = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_UTF8;

	if ((flags & REGEX_CASELESS) != 0)
		out |= HS_FLAG_CASELESS;
	if ((flags & REGEX_MULTILINE) != 0)
		out |= HS_FLAG_MULTILINE;
	if ((flags & REGEX_DOTALL) != 0)
		out |= HS_FLAG_DOTALL;
	return out;
}

static void
set_init(struct regex_set *set, struct compiler *c, const struct ids *atoms)
{
	uint32_t n = atoms->n;

	*set = (struct regex_set){
		.texts = xcalloc(n + 1, sizeof(set->texts[0])),
		.lens = xcalloc(n + 1, sizeof(set->lens[0])),
		.flags = xcalloc(n + 1, sizeof(set->flags[0])),
		.fates = xcalloc(n + 1, sizeof(set->fates[0])),
		.n = n,
	};
	for (uint32_t i = 0; i < n; i++) {
		struct atom *a = &c->atoms[atoms->items[i]].atom;
		struct slice text = a->match.text;
		char *copy = xmemdupz(text.ptr, text.len);

		if (regex_is_heavy(text)) {
			/* found by a wider one, then verified */
			regex_relax(text, copy);
			a->verify = true;
		}
		set->texts[i] = copy;
		set->lens[i] = strlen(copy);
		set->flags[i] = compile_hs_flags(a->match.flags);
	}
}

static void
set_fini(struct regex_set *set)
{
	for (uint32_t i = 0; i < set->n; i++)
		free((char *)(uintptr_t)set->texts[i]);
	free(set->texts);
	free(set->lens);
	free(set->flags);
	free(set->fates);
}

/*
 * All that are not refused; an expression's number is its place in the set.
 * False: Hyperscan does not like `*bad`.
 */
static bool
try_compile(const struct regex_set *set, hs_database_t **db, uint32_t *bad)
{
	const char **texts = xcalloc(set->n, sizeof(texts[0]));
	unsigned *flags = xcalloc(set->n, sizeof(flags[0]));
	unsigned *numbers = xcalloc(set->n, sizeof(numbers[0]));
	hs_compile_error_t *why = NULL;
	uint32_t n = 0;
	bool ok = true;

	for (uint32_t i = 0; i < set->n; i++) {
		if (set->fates[i] == REFUSED)
			continue;
		texts[n] = set->texts[i];
		flags[n] = set->flags[i];
		if (set->fates[i] == WIDENED)
			flags[n] |= HS_FLAG_PREFILTER;
		numbers[n++] = i;
	}
	if (n > 0)
		ok = hs_compile_multi(texts, flags, numbers, n, HS_MODE_BLOCK,
			 NULL, db, &why) == HS_SUCCESS;
	if (!ok) {
		uint32_t at = n - 1;

		if (why != NULL && why->expression >= 0 &&
		    (uint32_t)why->expression < n)
			at = (uint32_t)why->expression;
		*bad = numbers[at];
	}
	(void)hs_free_compile_error(why);
	free(texts);
	free(flags);
	free(numbers);
	return ok;
}

static bool
is_taken(const char *text, unsigned flags)
{
	hs_compile_error_t *why = NULL;
	hs_expr_info_t *info = NULL;
	bool taken = hs_expression_info(text, flags, &info, &why) == HS_SUCCESS;

	free(info);
	(void)hs_free_compile_error(why);
	return taken;
}

/* By itself: to find the bad ones by compiling all takes a run for each. */
static enum fate
judge(const struct regex_set *set, uint32_t i)
{
	const char *text = set->texts[i];

	if (regex_places((struct slice){ text, set->lens[i] }) >
	    REGEX_DATABASE_PLACES)
		return REFUSED;
	if (is_taken(text, set->flags[i]))
		return AS_WRITTEN;
	return is_taken(text, set->flags[i] | HS_FLAG_PREFILTER) ? WIDENED
								 : REFUSED;
}

static hs_database_t *
make_database(struct regex_set *set)
{
	hs_database_t *db = NULL;
	uint32_t bad;

	for (uint32_t i = 0; i < set->n; i++)
		set->fates[i] = (uint8_t)judge(set, i);

	while (!try_compile(set, &db, &bad))
		set->fates[bad] =
		    set->fates[bad] == AS_WRITTEN ? WIDENED : REFUSED;
	return db;
}

/* From the cache, or made. */
static hs_database_t *
regex_database(struct database_cache *cache, struct regex_set *set)
{
	const struct database_patterns patterns = { 'r', set->texts, set->lens,
		set->flags, set->n };
	uint8_t key[SHA256_BYTES];
	hs_database_t *db;

	database_cache_key(&patterns, key);
	if (database_cache_get(cache, key, &db, set->fates, set->n))
		return db;
	db = make_database(set);
	database_cache_put(cache, key, db, set->fates, set->n);
	return db;
}

void
compile_regexes(struct compiler *c, struct ids *regexes, struct ids *others,
    struct slot_index *index)
{
	struct regex_set set;
	uint32_t n;

	set_init(&set, c, regexes);
	index->raw = regex_database(c->cache, &set);
	for (uint32_t i = 0; i < set.n; i++) {
		uint32_t id = regexes->items[i];

		if (set.fates[i] == WIDENED)
			c->atoms[id].atom.verify = true;
		else if (set.fates[i] == REFUSED)
			ids_add(others, id);
	}
	set_fini(&set);
	index->regexes = ids_take(regexes, c->arena, &n);
}
