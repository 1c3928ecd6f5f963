#!/bin/sh
# SPDX-License-Identifier: MIT
#
# messages.sh PREFIX SOURCE - every error and warning that src/ reports is in DIAGNOSTICS of
# goalloc(7).
#
# A message is a string in a call of fatal_pointer(), fatal_error() or the functions of reports, up
# to a conversion such as %s or between two of them, that has a space inside. Punctuation at its
# ends does not count.
source=$2
type perl >/dev/null 2>&1 || exit 77
# shellcheck disable=SC2046 # no file name has a space
exec perl -we '
	use strict;
	my ($page, @files) = @ARGV;
	my ($missing, $found) = (0, 0);
	local $/;
	open my $in, "<", $page or die "$page: $!\n";
	my $text = <$in>;
	$text =~ s/^.*?\n[.]SH DIAGNOSTICS\n(.*?)\n[.]SH .*/$1/s or die "no DIAGNOSTICS\n";
	$text =~ s/\\\n//g;
	for my $file (@files) {
		open my $source, "<", $file or die "$file: $!\n";
		my $code = <$source>;
		while ($code =~ /\b(?:fatal_(?:pointer|error)|report_\w+)\((.*?)\);/gs)
		{
			my $call = $1;
			$call =~ s/"\s+"//g;
			my @pieces = map { split /%[-#.*\x27 0-9]*z?[a-z]/ } $call =~ /"([^"]*)"/g;
			s/^[\s\x27:;,]+|[\s\x27:]+$//g for @pieces;
			for my $message (grep { / / } @pieces) {
				$found++;
				next if index($text, $message) >= 0;
				print "goalloc(7) does not have the message of $file: $message\n";
				$missing++;
			}
		}
	}
	die "only $found messages found\n" if $found < 15;
	print "the page has the $found messages\n" unless $missing;
	exit($missing != 0)' "$source/src/man/goalloc.7" $(find "$source/src" -name '*.c')
