/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker and the opener say to each other: one message asks, one
 * answers, over a SOCK_SEQPACKET socket pair of one program, so numbers are in
 * the machine's order.  Between the parts of the opener; nobody else includes it.
 *
 *   request   struct wire_request, path (no NUL; empty where none is asked for),
 *             or paths (NUL after each)
 *   answer    struct wire_answer, body; descriptors beside it (SCM_RIGHTS)
 *   body      nodes, or bytes of attributes, or text of an error, or a
 *             struct wire_opened for each path
 *   node      struct wire_node, path NUL, target NUL
 */
#pragma once

#include "agent/roles/opener_walk.h"
#include "buf.h"
#include "slice.h"

enum wire_op {
	WIRE_OPEN = 1,
	WIRE_OPEN_ITSELF,
	WIRE_STAT,
	WIRE_LSTAT,
	WIRE_XATTRS,
	WIRE_LIST,         /* a handle, and the first nodes */
	WIRE_ROTATED,      /* the same */
	WIRE_WALK,         /* a handle */
	WIRE_WALK_PATTERN, /* of a handle's walk that is not begun */
	WIRE_WALK_EXCLUDE,
	WIRE_WALK_BEGIN,
	WIRE_ROOTS,  /* nodes, of a walk, from `arg` */
	WIRE_NEXT,   /* nodes, of a list or a walk */
	WIRE_END,    /* of a list or a walk */
	WIRE_NOTIFY, /* a handle and a descriptor; `arg`: enum wire_notify */
	WIRE_WATCH,  /* a folder: its key */
	WIRE_UNNOTIFY,
	WIRE_RELOAD,    /* a descriptor of the text */
	WIRE_KEEP,      /* `arg`: the new configuration's grants, or the old */
	WIRE_SOCKET,    /* a descriptor that is connected */
	WIRE_OPEN_MANY, /* paths: as WIRE_OPEN_ITSELF each, in their order */
	WIRE_OPS
};

/* `arg` of WIRE_WALK */
enum { WIRE_FLAT = 1, WIRE_LITERAL = 2 };
/* `arg` of WIRE_NOTIFY */
enum wire_notify { WIRE_OF_LOGS, WIRE_OF_CHANGES, WIRE_OF_CHANGES_BY_WHOM };

enum {
	WIRE_MESSAGE_MAX = 96 * 1024, /* bytes; below any SO_SNDBUF */
	WIRE_NODE_MAX = 2 * (WALK_PATH_MAX + 1) + 256,
	WIRE_CURSORS_MAX = 32, /* lists and walks at once, of a channel */
	WIRE_NOTIFIES_MAX = 32,
	WIRE_FDS_MAX = OPENER_MANY /* beside one message; unix(7) takes 253 */
};

struct wire_request {
	uint32_t op;
	uint32_t handle;
	uint32_t arg;
};

struct wire_answer {
	uint32_t rc; /* enum rc */
	int32_t errnum;
	uint32_t handle;  /* 0: none (any more) */
	uint32_t n;       /* nodes; or how many there are of what was asked */
	uint64_t key;     /* of a watch; or how many paths were too long */
	uint64_t refused; /* requests up to now */
	struct opener_stat st;
};

/* One of several files that were to be opened; those that are have their
 * descriptors in this order. */
struct wire_opened {
	uint32_t rc; /* enum rc */
	int32_t errnum;
};

/* The descriptors of one answer. */
struct wire_fds {
	int at[WIRE_FDS_MAX];
	size_t n;
	bool own; /* the caller's, else borrowed */
};

struct wire_node {
	struct opener_stat st;
	int32_t error;
	uint32_t path_len;
	uint32_t target_len; /* WIRE_NO_TARGET: none */
};
#define WIRE_NO_TARGET UINT32_MAX

/* A request with its path, or with its paths, which point into the message. */
struct wire_asked {
	struct wire_request request;
	char path[WALK_PATH_MAX + 1]; /* NUL-terminated; else "" */
	const char *paths[OPENER_MANY];
	size_t n_paths;
};

/* RC_INVALID: not a request, or a path is too long, or there are too many. */
enum rc wire_request_decode(struct slice message, struct wire_asked *a);

bool wire_node_add(struct buf *out, const struct opener_node *node);
/* Takes the next node off; its texts point into the message.  RC_EOF: there is
 * none; RC_INVALID: it is no node. */
enum rc wire_node_take(struct slice *rest, struct opener_node *node);

/*
 * One message with `n` descriptors, at most WIRE_FDS_MAX.  Receiving: up to `max`
 * of them, the caller's; -1 where none came, as for the last ones when this
 * process may have no more.  RC_EOF: the other end is gone; RC_INVALID: too long,
 * or more descriptors, all closed; RC_SYSTEM: errno.
 */
enum rc wire_send(int channel, const void *head, size_t head_len,
    struct slice body, const int *fds, size_t n);
enum rc wire_receive(int channel, struct buf *out, int *fds, size_t max);
void wire_fds_close(struct wire_fds *fds); /* those that are its own */
