#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Makes lib/fold_table.c from perl's Unicode tables: simple case folding
# (CaseFolding.txt, status C and S) of everything above ASCII, as ranges.
# usage: perl lib/gen_fold.pl >lib/fold_table.c
use strict;
use warnings;
use Unicode::UCD qw(casefold);

my @ranges;    # [first, last, step, delta]
for my $c (0x80 .. 0x1ffff) {
	next if $c >= 0xd800 && $c <= 0xdfff;
	my $fold = casefold($c) or next;
	my $simple = $fold->{simple} or next;
	my $delta = hex($simple) - $c or next;
	my $r = @ranges ? $ranges[-1] : undef;
	if ($r && $r->[3] == $delta) {
		my $step = $c - $r->[1];
		if ($step <= 2 && ($r->[0] == $r->[1] || $step == $r->[2])) {
			($r->[1], $r->[2]) = ($c, $step);
			next;
		}
	}
	push @ranges, [$c, $c, 1, $delta];
}
printf "/* SPDX-License-Identifier: Apache-2.0 */\n" .
    "/* Made by lib/gen_fold.pl from Unicode %s: do not edit. */\n" .
    "#include \"fold_table.h\"\n\n/* clang-format off */\n" .
    "const struct fold_range fold_ranges[] = {\n", Unicode::UCD::UnicodeVersion();
printf "\t{ 0x%05x, 0x%05x, %d, %d },\n", @$_ for @ranges;
printf "};\n/* clang-format on */\n\n" .
    "const size_t fold_ranges_count = " .
    "sizeof(fold_ranges) / sizeof(fold_ranges[0]);\n";
