/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "collector/store/internal.h"

/*
 * `status`, `reason` are what correlation says; edited_* what a person said,
 * who has the last word.  `grp` is the group.  outbox: a row an incident; due
 * NULL: its newest state is out (or nobody wants it).
 */
static const char schema_1[] =
    "CREATE TABLE cursor(one INTEGER PRIMARY KEY CHECK(one = 1),"
    " commit_number INTEGER NOT NULL, rebuild_from INTEGER NOT NULL);"
    "CREATE TABLE incidents(id TEXT PRIMARY KEY, owner TEXT NOT NULL,"
    " rule TEXT NOT NULL, title TEXT NOT NULL, author TEXT NOT NULL,"
    " tags TEXT NOT NULL, digest BLOB NOT NULL, level TEXT NOT NULL,"
    " status TEXT NOT NULL, reason TEXT NOT NULL, edited_status TEXT,"
    " edited_reason TEXT, first_seen INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL, fired INTEGER NOT NULL,"
    " grp TEXT NOT NULL, events INTEGER NOT NULL, agents TEXT NOT NULL,"
    " revision INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX incidents_by_time ON incidents(first_seen, id);"
    "CREATE TABLE outbox(incident TEXT PRIMARY KEY, due INTEGER,"
    " urgent INTEGER NOT NULL, sent INTEGER NOT NULL,"
    " sent_digest BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX outbox_by_due ON outbox(due) WHERE due IS NOT NULL;"
    "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE publisher_notes(name TEXT PRIMARY KEY,"
    " text TEXT NOT NULL) WITHOUT ROWID;";

/*
 * Accounts, what they may show (sessions and tokens, by the SHA-256 of their
 * secret), and what was done (include/accounts.h); people's work on incidents.
 */
static const char schema_accounts[] =
    "CREATE TABLE accounts(name TEXT PRIMARY KEY, role TEXT NOT NULL,"
    " organization TEXT NOT NULL, certificate TEXT NOT NULL,"
    " password TEXT NOT NULL, enabled INTEGER NOT NULL,"
    " totp TEXT NOT NULL DEFAULT '', totp_pending TEXT NOT NULL DEFAULT '',"
    " totp_step INTEGER NOT NULL DEFAULT 0,"
    " failures INTEGER NOT NULL DEFAULT 0,"
    " locked_until INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL,"
    " last_login INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX accounts_by_certificate ON accounts(certificate)"
    " WHERE certificate <> '';"
    "CREATE TABLE tokens(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " account TEXT NOT NULL, session INTEGER NOT NULL,"
    " hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL,"
    " permissions INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, last_used INTEGER NOT NULL);"
    "CREATE INDEX tokens_by_account ON tokens(account);"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " time INTEGER NOT NULL, account TEXT NOT NULL, role TEXT NOT NULL,"
    " address TEXT NOT NULL, action TEXT NOT NULL, method TEXT NOT NULL,"
    " target TEXT NOT NULL, status INTEGER NOT NULL,"
    " detail TEXT NOT NULL);"
    "CREATE TABLE audit_cursor(one INTEGER PRIMARY KEY CHECK(one = 1),"
    " stream TEXT NOT NULL, shipped INTEGER NOT NULL);"
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN"
    " SELECT raise(ABORT, 'the audit log is append-only'); END;"
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN"
    " old.id > (SELECT max(id) FROM audit) - 1000000 OR"
    " old.id > coalesce((SELECT shipped FROM audit_cursor), 0) BEGIN"
    " SELECT raise(ABORT, 'the audit log is append-only'); END;"
    "CREATE TABLE incident_notes(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " incident TEXT NOT NULL, time INTEGER NOT NULL, author TEXT NOT NULL,"
    " text TEXT NOT NULL);"
    "CREATE INDEX incident_notes_by_incident ON incident_notes(incident);"
    "ALTER TABLE incidents ADD COLUMN assignee TEXT NOT NULL DEFAULT '';";

/* include/saved_search.h */
static const char schema_saved[] =
    "CREATE TABLE saved_searches(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " account TEXT NOT NULL, organization TEXT NOT NULL,"
    " name TEXT NOT NULL, shared INTEGER NOT NULL,"
    " definition TEXT NOT NULL, created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL, revision INTEGER NOT NULL,"
    " UNIQUE(account, name));";

/* Who is accountable, as JSON. */
static const char schema_objects[] =
    "ALTER TABLE incidents ADD COLUMN owner_about TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE incidents ADD COLUMN objects TEXT NOT NULL DEFAULT '';";

/* include/identities.h; `revoked`: since when the name is closed, 0: never. */
static const char schema_identities[] =
    "CREATE TABLE enrol_tokens(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " hash BLOB NOT NULL UNIQUE, agent TEXT NOT NULL, grp TEXT NOT NULL,"
    " replace INTEGER NOT NULL, uses INTEGER NOT NULL,"
    " used INTEGER NOT NULL, creator TEXT NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE TABLE agent_identities(agent TEXT PRIMARY KEY,"
    " grp TEXT NOT NULL, enrolled INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL, revoked_by TEXT NOT NULL,"
    " reason TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE agent_certificates(sha256 TEXT PRIMARY KEY,"
    " agent TEXT NOT NULL, serial TEXT NOT NULL, key_sha256 TEXT NOT NULL,"
    " token INTEGER NOT NULL, issued INTEGER NOT NULL,"
    " not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX agent_certificates_by_agent ON agent_certificates(agent,"
    " not_after);"
    "CREATE INDEX agent_certificates_by_end ON"
    " agent_certificates(not_after);";

/* Step n makes format n of format n - 1.  Landed ones never change. */
static const char *const steps[] = { schema_1, schema_accounts, schema_saved,
	schema_objects, schema_identities };
enum { SOC_FORMAT = sizeof(steps) / sizeof(steps[0]) };

enum rc
soc_connect(const char *dir, enum sql_mode mode, struct sql **out,
    struct error *err)
{
	char path[4096];
	int version = 0;
	enum rc rc;

	*out = NULL;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, STORE_SOC) >=
	    sizeof(path))
		return error_set(err, RC_INVALID, "%s: the path is too long",
		    dir);
	rc = sql_open(path, mode, out, err);
	if (rc == RC_OK)
		rc = sql_version(*out, &version, err);
	if (rc == RC_OK && version > SOC_FORMAT)
		rc = error_set(err, RC_INVALID,
		    "%s: written by a newer version of kuzet (format %d, this "
		    "one knows %d): use that version",
		    path, version, SOC_FORMAT);
	if (rc != RC_OK) {
		sql_close(*out);
		*out = NULL;
	}
	return rc;
}

enum rc
soc_prepare(const char *dir, struct error *err)
{
	struct sql *db;
	char text[64];
	int version = 0;
	enum rc rc;

	if (soc_connect(dir, SQL_CREATE, &db, err) != RC_OK)
		return err->code;
	rc = sql_version(db, &version, err);
	if (rc != RC_OK || version == SOC_FORMAT)
		goto out;
	(void)snprintf(text, sizeof(text), "PRAGMA user_version=%d",
	    SOC_FORMAT);
	rc = sql_begin(db, err);
	for (; rc == RC_OK && version < SOC_FORMAT; version++)
		rc = sql_exec(db, steps[version], err);
	if (rc == RC_OK)
		rc = sql_exec(db, text, err);
	if (rc == RC_OK)
		rc = sql_commit(db, err);
	if (rc != RC_OK)
		sql_rollback(db);
out:
	sql_close(db);
	return rc;
}
