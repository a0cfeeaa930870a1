/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_spec.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#define GLOB_CHARACTERS "*?[\\"

/* Whether it holds for the path or for a folder that the path lies in. */
static bool
holds_above(const char *path, size_t len,
    bool (*holds)(const void *ctx, const char *prefix), const void *ctx)
{
	char prefix[WALK_PATH_MAX + 1];

	if (len > WALK_PATH_MAX)
		return false;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(prefix, path, i);
		prefix[i] = '\0';
		if (holds(ctx, prefix))
			return true;
	}
	return false;
}

static bool
is_like(const void *pattern, const char *prefix)
{
	return fnmatch(pattern, prefix, FNM_PATHNAME | FNM_PERIOD) == 0;
}

static bool
is_excluded(const void *ctx, const char *prefix)
{
	const struct fim_spec *spec = ctx;

	return opener_path_matches(spec->exclude, spec->n_exclude, prefix);
}

bool
fim_pattern_covers(const char *pattern, const char *path)
{
	size_t len = strlen(path), plen = strlen(pattern);

	while (plen > 1 && pattern[plen - 1] == '/')
		plen--;
	if (strpbrk(pattern, GLOB_CHARACTERS) == NULL)
		return opener_path_within((struct slice){ path, len },
		    (struct slice){ pattern, plen });
	return holds_above(path, len, is_like, pattern);
}

static bool
excluded(const struct fim_spec *spec, const char *path)
{
	return spec->n_exclude > 0 &&
	    holds_above(path, strlen(path), is_excluded, spec);
}

bool
fim_spec_covers(const struct fim_spec *spec, const char *path)
{
	for (size_t i = 0; i < spec->n_paths; i++) {
		if (fim_pattern_covers(spec->paths[i], path))
			return !excluded(spec, path);
	}
	return false;
}

const char *
fim_spec_missing(struct opener *o, const struct fim_spec *spec, size_t *at)
{
	struct opener_stat st;

	while (*at < spec->n_paths) {
		const char *path = spec->paths[(*at)++];

		if (strpbrk(path, GLOB_CHARACTERS) == NULL &&
		    !opener_lstat(o, path, &st) && errno == ENOENT)
			return path;
	}
	return NULL;
}

struct knowing {
	const struct fim_spec *spec;
	bool *known;
	bool any;
};

static void
one_root(void *ctx, const char *stored)
{
	struct knowing *k = ctx;

	for (size_t i = 0; i < k->spec->n_paths; i++) {
		const char *mine = k->spec->paths[i];
		bool below = strpbrk(mine, GLOB_CHARACTERS) == NULL &&
		    fim_pattern_covers(stored, mine);

		if (!below && strcmp(stored, mine) != 0)
			continue;
		k->any = true;
		if (k->known != NULL)
			k->known[i] = true;
	}
}

enum rc
fim_spec_known(struct fim_store *store, int64_t input,
    const struct fim_spec *spec, bool known[], bool *any, struct error *err)
{
	struct knowing k = { .spec = spec };
	enum rc rc;

	k.known = known;
	rc = fim_store_roots(store, input, one_root, &k, err);
	*any = k.any;
	return rc;
}
