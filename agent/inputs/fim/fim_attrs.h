/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes for people: POSIX ACLs (linux/posix_acl_xattr.h) as
 * getfacl(1) writes them in short, file capabilities (linux/capability.h,
 * vfs_cap_data) as getcap(8) does, everything else by name and value.
 * The bytes are a file's: whatever they are, the result is some text.
 */
#pragma once

#include "buf.h"
#include "slice.h"

/* "user::rw-,user:1000:r--,group::r--,mask::r--,other::---"; false: no ACL. */
bool fim_acl_text(struct slice value, struct buf *out);
/* "cap_net_raw,cap_net_admin=ep"; false: none that is known. */
bool fim_capability_text(struct slice value, struct buf *out);

struct fim_attr {
	const char *name;
	struct slice value;
};
/* The next of what opener_xattrs() made; false: no more. */
bool fim_attr_next(struct slice *rest, struct fim_attr *out);
