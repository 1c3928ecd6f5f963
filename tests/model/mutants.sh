#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mutants.sh - breaks the protocol on purpose, in each way that the models know, and expects spin to find an
# error in every one: the models can fail. Exit status 0 when all are found.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/search.sh"

# Errors are found early: compiling takes the time.
OPT=-O0
small="-DBUDGET=4 -DSTACK=0 -DFRESH_HINT"
large="-DNSLOT=3 -DWORTH=2 -DBUDGET=4 -DLIVES=1 -DSTACK=0 -DFRESH_HINT"
failed=0

# expect_error MODEL MUTANT MACROS
expect_error() {
	search "$here/$1" "-DMUTANT_$2 $3"
	case $? in
	1) echo "found   $1 $2" ;;
	0) echo "MISSED  $1 $2"; failed=1 ;;
	*) echo "BROKEN  $1 $2"; cat out; failed=1 ;;
	esac
}

enter_scratch
expect_error span.pml BITS_BEFORE_OWNER "$small"
expect_error span.pml OWNER_BEFORE_BIT "$small"
expect_error span.pml NO_LOOK "$small"
expect_error span.pml LET_GO_DOES_NOT_COUNT "$large"
expect_error span.pml CREDIT_LAST "$large"
expect_error span.pml ZERO_ONLY "$small"
expect_error span.pml KEEPS_CURRENT "$small"
expect_error span.pml CLAIM_WITHOUT_SWAP "$small"
expect_error span.pml NO_RECHECK "$small"
expect_error span.pml CENTRAL_WORTH "$large"
expect_error span.pml PUT_IGNORES_WORTH "$small"
expect_error span.pml ABSORB_STORE "$small"
expect_error tiny.pml WORD_NOT_PINNED "-DNFREE=2"
expect_error tiny.pml CURRENT_NOT_PINNED "-DNFREE=2"
expect_error tiny.pml MARK_BEFORE_STATE "-DNFREE=2"
expect_error tiny.pml MARK_IS_FREE "-DNFREE=2"

# Every mutant in the models is tried.
for mutant in $(sed -n 's/^#if.*def MUTANT_\([A-Z_]*\).*/\1/p' "$here"/*.pml | sort -u); do
	grep -q "^expect_error [a-z.]* $mutant " "$here/mutants.sh" || {
		echo "NOT TRIED $mutant"
		failed=1
	}
done
exit $failed
