/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/normalize/address.h"

#include "tap.h"

static const struct {
	const char *text, *want;
} cases[] = {
	{ "192.0.2.1", "192.0.2.1" },
	{ "255.255.255.255", "255.255.255.255" },
	{ "::ffff:192.0.2.1", "192.0.2.1" },
	{ "::FFFF:192.0.2.1", "192.0.2.1" },
	{ "[2001:db8::1]", "2001:db8::1" },
	{ "2001:db8::80da:af6b:8b2c", "2001:db8::80da:af6b:8b2c" },
	{ "::", "::" },
	{ "::1", "::1" },
	{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
	{ "1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:192.0.2.1" },
	{ "64:ff9b::192.0.2.1", "64:ff9b::192.0.2.1" },
	{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7::" },
	{ "192.0.2.256", "" },
	{ "192.030.0.6", "" },
	{ "192.0.2", "" },
	{ "192.0.2.1.", "" },
	{ "192.0.2.1 ", "" },
	{ "1:2:3:4:5:6:7:8:9", "" },
	{ "1:2:3:4:5:6:7", "" },
	{ "1::2::3", "" },
	{ ":1:2", "" },
	{ "1:2:3:4:5:6:7:", "" },
	{ "12345::", "" },
	{ ":::", "" },
	{ "10:20:30", "" },
	{ "example.com", "" },
	{ "", "" },
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice s = { cases[i].text, strlen(cases[i].text) };
		struct slice want = { cases[i].want, strlen(cases[i].want) };

		CHECK(slice_eq(address_read(s), want),
		    "\"%s\" is read as \"%s\"", cases[i].text, cases[i].want);
	}
	CHECK(address_is_name(SLICE("web-1.example")), "a name is a name");
	CHECK(!address_is_name(SLICE("192.030.0.6")),
	    "what has no letter is no name");
	CHECK(!address_is_name(SLICE("a b")), "a space is in no name");
	return tap_done();
}
