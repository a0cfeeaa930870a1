/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs/fim/fim_attrs.h"

#include <stdint.h>
#include <string.h>

enum {
	ACL_VERSION = 2,
	ACL_ENTRY = 8, /* tag 2, permissions 2, id 4; little-endian */
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
	CAP_REVISION_2 = 2,
	CAP_REVISION_3 = 3,
	CAP_BYTES = 20 /* of revision 2; 3 has a root id behind */
};

static const char *const cap_names[] = { "chown", "dac_override",
	"dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast",
	"net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module",
	"sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin",
	"sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config",
	"mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend",
	"audit_read", "perfmon", "bpf", "checkpoint_restore" };
enum { CAPS = sizeof(cap_names) / sizeof(cap_names[0]) };

static uint32_t
le(const char *p, unsigned bytes)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return v;
}

static const char *
acl_tag(unsigned tag)
{
	switch (tag) {
	case ACL_USER_OBJ:
	case ACL_USER:
		return "user";
	case ACL_GROUP_OBJ:
	case ACL_GROUP:
		return "group";
	case ACL_MASK:
		return "mask";
	case ACL_OTHER:
		return "other";
	default:
		return "unknown";
	}
}

bool
fim_acl_text(struct slice value, struct buf *out)
{
	if (value.len < 4 || le(value.ptr, 4) != ACL_VERSION ||
	    (value.len - 4) % ACL_ENTRY != 0)
		return false;
	for (size_t at = 4; at < value.len; at += ACL_ENTRY) {
		const char *e = value.ptr + at;
		unsigned tag = le(e, 2), perm = le(e + 2, 2);

		(void)buf_printf(out, "%s%s:", at == 4 ? "" : ",",
		    acl_tag(tag));
		if (tag == ACL_USER || tag == ACL_GROUP)
			(void)buf_printf(out, "%u", (unsigned)le(e + 4, 4));
		(void)buf_printf(out, ":%c%c%c", (perm & 4) != 0 ? 'r' : '-',
		    (perm & 2) != 0 ? 'w' : '-', (perm & 1) != 0 ? 'x' : '-');
	}
	return true;
}

static void
put_caps(struct buf *out, uint64_t set, const char *flags)
{
	bool any = false;

	if (set == 0)
		return;
	if (out->len > 0)
		(void)buf_add_char(out, ' ');
	for (unsigned i = 0; i < 64; i++) {
		if ((set >> i & 1) == 0)
			continue;
		if (any)
			(void)buf_add_char(out, ',');
		any = true;
		if (i < CAPS)
			(void)buf_printf(out, "cap_%s", cap_names[i]);
		else
			(void)buf_printf(out, "%u", i);
	}
	(void)buf_printf(out, "=%s", flags);
}

bool
fim_capability_text(struct slice value, struct buf *out)
{
	uint32_t magic = value.len >= 4 ? le(value.ptr, 4) : 0;
	unsigned revision = magic >> 24;
	bool effective = (magic & 1) != 0;
	uint64_t permitted, inheritable;

	if ((revision != CAP_REVISION_2 && revision != CAP_REVISION_3) ||
	    value.len < CAP_BYTES)
		return false;
	permitted =
	    le(value.ptr + 4, 4) | (uint64_t)le(value.ptr + 12, 4) << 32;
	inheritable =
	    le(value.ptr + 8, 4) | (uint64_t)le(value.ptr + 16, 4) << 32;
	put_caps(out, permitted & inheritable, effective ? "eip" : "ip");
	put_caps(out, permitted & ~inheritable, effective ? "ep" : "p");
	put_caps(out, inheritable & ~permitted, effective ? "ei" : "i");
	return true;
}

bool
fim_attr_next(struct slice *rest, struct fim_attr *out)
{
	const char *nul =
	    rest->len == 0 ? NULL : memchr(rest->ptr, '\0', rest->len);
	size_t name, len;

	if (nul == NULL)
		return false;
	name = (size_t)(nul - rest->ptr) + 1;
	if (rest->len - name < 4)
		return false;
	len = (size_t)(unsigned char)rest->ptr[name] << 24 |
	    (size_t)(unsigned char)rest->ptr[name + 1] << 16 |
	    (size_t)(unsigned char)rest->ptr[name + 2] << 8 |
	    (size_t)(unsigned char)rest->ptr[name + 3];
	if (rest->len - name - 4 < len)
		return false;
	*out = (struct fim_attr){ rest->ptr, { rest->ptr + name + 4, len } };
	rest->ptr += name + 4 + len;
	rest->len -= name + 4 + len;
	return true;
}
