/* SPDX-License-Identifier: Apache-2.0 */
#include "user_data.h"

#include "json.h"
#include "tap.h"

static const struct {
	const char *name, *json, *field;
	const char *value; /* NULL: it does not have the field */
} cases[] = {
	{ "a datum has Winlogbeat's name too",
	    "{\"Event\":{\"System\":{\"Channel\":\"x\"},\"UserData\":"
	    "{\"EventXML\":{\"User\":\"bob\"}}}}",
	    "winlog.user_data.User", "bob" },
	{ "... and keeps its own",
	    "{\"Event\":{\"System\":{\"Channel\":\"x\"},\"UserData\":"
	    "{\"EventXML\":{\"User\":\"bob\"}}}}",
	    "Event.UserData.EventXML.User", "bob" },
	{ "one that is deeper keeps the rest of its name",
	    "{\"Event\":{\"System\":{\"Channel\":\"x\"},\"UserData\":"
	    "{\"A\":{\"B\":{\"C\":\"d\"}}}}}",
	    "winlog.user_data.B.C", "d" },
	{ "what is there already stays",
	    "{\"winlog\":{\"user_data\":{\"User\":\"eve\"}},\"Event\":"
	    "{\"System\":{\"Channel\":\"x\"},\"UserData\":{\"A\":{\"User\":"
	    "\"bob\"}}}}",
	    "winlog.user_data.User", "eve" },
	{ "attributes are no data",
	    "{\"Event\":{\"System\":{\"Channel\":\"x\"},\"UserData\":"
	    "{\"A\":{\"#attributes\":{\"xmlns\":\"y\"}}}}}",
	    "winlog.user_data.#attributes.xmlns", NULL },
	{ "a text in the place of data has no other name",
	    "{\"Event\":{\"System\":{\"Channel\":\"x\"},\"UserData\":"
	    "{\"User\":\"bob\"}}}",
	    "winlog.user_data.User", NULL },
	{ "what is no event of Windows is left as it is",
	    "{\"Event\":{\"UserData\":{\"A\":{\"User\":\"bob\"}}}}",
	    "winlog.user_data.User", NULL },
};

int
main(void)
{
	uint32_t mark = user_data_mark();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena *arena = arena_new(65536);
		struct slice json = { cases[i].json, strlen(cases[i].json) };
		struct slice field = { cases[i].field, strlen(cases[i].field) };
		struct event ev;
		struct error err;
		struct slice got;

		event_begin(&ev, arena);
		CHECK(json_read_event_again(json, &json_limits_default, &ev,
			  NULL, &err) == RC_OK,
		    "%s: is read", cases[i].name);
		user_data_names(&ev, mark);
		user_data_names(&ev, mark); /* twice is once */
		got = event_get_string(&ev, field_intern(field));
		CHECK(cases[i].value == NULL
			? got.ptr == NULL
			: got.len == strlen(cases[i].value) &&
			    memcmp(got.ptr, cases[i].value, got.len) == 0,
		    "%s", cases[i].name);
		arena_free(arena);
	}
	return tap_done();
}
