/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_secret.h"

#include <string.h>
#include <strings.h>

#include "agent/roles/opener_walk.h"
#include "ascii.h"

static const char *const secret_paths[] = { "shadow*", "gshadow*", "*.key",
	"*.pem", "*.p12", "*.pfx", "*.jks", "*.kdbx", "*.keytab", "id_rsa*",
	"id_dsa*", "id_ecdsa*", "id_ed25519*", "ssh_host_*_key", "*htpasswd*",
	".netrc", ".pgpass", ".my.cnf", "*secret*", "*credential*", "*token*",
	"/etc/ssl/private/*", "/etc/shadow*", "/etc/gshadow*",
	"/etc/NetworkManager/system-connections/*", "/etc/wireguard/*",
	"/etc/ipsec.secrets" };

bool
fim_is_secret(const char *path, struct slice text)
{
	static const char marks[][24] = { "PRIVATE KEY-----",
		"PRIVATE KEY BLOCK" };

	if (opener_path_matches(secret_paths,
		sizeof(secret_paths) / sizeof(secret_paths[0]), path))
		return true;
	for (size_t i = 0; text.len > 0 && i < 2; i++) {
		if (memmem(text.ptr, text.len, marks[i], strlen(marks[i])) !=
		    NULL)
			return true;
	}
	return false;
}

/* ---- values of secrets within a text that may be shown -------------------- */

/* What the name of a setting ends with. */
static const char *const names[] = { "password", "passwd", "passphrase",
	"secret", "token", "apikey", "api_key", "api-key", "accesskey",
	"access_key", "secret_key", "secretkey", "private_key", "auth_key",
	"credential", "credentials", "_pwd", "_psk", "wpa_psk" };
/* Settings whose value follows after a space. */
static const char *const bare[] = { "requirepass", "masterauth", "bindpw",
	"rootpw", "rootbindpw" };

static bool
is_of_name(char c)
{
	return ascii_is_letter(c) || ascii_is_digit(c) || c == '_' ||
	    c == '-' || c == '.';
}

static bool
ends_with(struct slice word, const char *end)
{
	size_t len = strlen(end);

	return word.len >= len &&
	    strncasecmp(word.ptr + word.len - len, end, len) == 0;
}

static bool
is_bare(struct slice word)
{
	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
		if (word.len == strlen(bare[i]) && ends_with(word, bare[i]))
			return true;
	}
	return false;
}

static bool
is_name(struct slice word)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (ends_with(word, names[i]))
			return true;
	}
	return false;
}

static size_t
skip(struct slice line, size_t at, const char *any)
{
	while (at < line.len && line.ptr[at] != '\0' &&
	    strchr(any, line.ptr[at]) != NULL)
		at++;
	return at;
}

/* Where the value of the setting that ends at `at` begins; line.len: none. */
static size_t
value_after(struct slice line, struct slice word, size_t at)
{
	size_t sign;

	if (is_bare(word))
		return skip(line, at, " \t\"'=:");
	if (!is_name(word))
		return line.len;
	at = skip(line, at, "\"' \t");
	sign = skip(line, at, "=:>");
	return sign == at ? line.len : skip(line, sign, " \t\"'");
}

/* "//user:password@": where the password begins and ends. */
static bool
password_of_url(struct slice line, size_t *from, size_t *to)
{
	static const char ends[] = { '@', '/', ' ', '\t', '"', '\'' };

	for (size_t i = 2; i < line.len; i++) {
		size_t colon = 0, at = i;

		if (line.ptr[i - 1] != '/' || line.ptr[i - 2] != '/')
			continue;
		for (; at < line.len &&
		     memchr(ends, line.ptr[at], sizeof(ends)) == NULL;
		     at++) {
			if (line.ptr[at] == ':' && colon == 0)
				colon = at;
		}
		if (colon != 0 && at < line.len && line.ptr[at] == '@' &&
		    at > colon + 1) {
			*from = colon + 1;
			*to = at;
			return true;
		}
	}
	return false;
}

static bool
secret_in(struct slice line, size_t *from, size_t *to)
{
	for (size_t i = 0; i < line.len;) {
		size_t end = i;

		while (end < line.len && is_of_name(line.ptr[end]))
			end++;
		if (end > i) {
			*from = value_after(line,
			    (struct slice){ line.ptr + i, end - i }, end);
			*to = line.len;
			if (*from < line.len)
				return true;
		}
		i = end + (end == i);
	}
	return password_of_url(line, from, to);
}

struct slice
fim_mask_secrets(const char *path, struct slice text, struct arena *arena)
{
	/* "passwd: files" is where users come from */
	static const char *const harmless[] = { "nsswitch.conf" };
	static const char mask[] = "***";
	size_t len = 0, max = 0, lines = 1;
	char *out;

	if (opener_path_matches(harmless, 1, path))
		return text;
	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	max = text.len + lines * (sizeof(mask) - 1);
	out = arena_alloc(arena, max + 1);
	while (text.len > 0) {
		const char *lf = memchr(text.ptr, '\n', text.len);
		size_t n = lf == NULL ? text.len : (size_t)(lf - text.ptr);
		struct slice line = { text.ptr, n };
		size_t from = n, to = n;

		if (secret_in(line, &from, &to)) {
			memcpy(out + len, line.ptr, from);
			memcpy(out + len + from, mask, sizeof(mask) - 1);
			len += from + sizeof(mask) - 1;
			from = to;
		} else {
			from = 0;
		}
		memcpy(out + len, line.ptr + from, n - from);
		len += n - from;
		if (lf != NULL)
			out[len++] = '\n';
		text.ptr += n + (lf != NULL);
		text.len -= n + (lf != NULL);
	}
	return (struct slice){ out, len };
}
