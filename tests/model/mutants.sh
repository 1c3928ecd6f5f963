#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mutants.sh [MODEL] - breaks the protocol on purpose, in each way that the models know, and expects
# spin to find an error in every one: the models can fail. Exit status 0 when all are found. MODEL:
# only those of span.pml, say.
#
# What the source has beside the model (HOLE_x, see exit.pml) must be found, too: when it is not,
# the model was changed, and the configuration belongs in run.sh.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/search.sh"

# Errors are found early: compiling takes the time.
OPT=-O0
small="-DBUDGET=4 -DSTACK=0 -DFRESH_HINT"
large="-DNSLOT=3 -DWORTH=2 -DBUDGET=4 -DLIVES=1 -DSTACK=0 -DFRESH_HINT"
failed=0
only=${1-}

# expect KIND MODEL NAME MACROS
expect() {
	case $only in '' | "$2") ;; *) return ;; esac
	search "$here/$2" "-D$1_$3 $4"
	case $? in
	1) echo "found   $2 $1_$3" ;;
	0) echo "MISSED  $2 $1_$3"; failed=1 ;;
	*) echo "BROKEN  $2 $1_$3"; cat out; failed=1 ;;
	esac
}

# expect_error MODEL MUTANT MACROS; expect_hole MODEL HOLE MACROS
expect_error() { expect MUTANT "$@"; }
expect_hole() { expect HOLE "$@"; }

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
expect_error span.pml DRAIN_KEEPS_OWNER "$small -DDRAINS=1"
expect_error tiny.pml WORD_NOT_PINNED "-DNFREE=2"
expect_error tiny.pml CURRENT_NOT_PINNED "-DNFREE=2"
expect_error tiny.pml MARK_BEFORE_STATE "-DNFREE=2"
expect_error tiny.pml MARK_IS_FREE "-DNFREE=2"
expect_error exit.pml STACKS_LAST "-DFRESH_HINT"
expect_error exit.pml GIVE_FIRST "-DFRESH_HINT"
expect_error exit.pml NOT_TOLD "-DFRESH_HINT"
expect_error exit.pml NO_DETACH "-DFRESH_HINT -DTINY"
expect_error exit.pml NO_WORD "-DFRESH_HINT"
expect_error exit.pml SPARE_STAYS "-DFRESH_HINT"
expect_error exit.pml HOME_WITHOUT_SWAP "-DFRESH_HINT"
expect_error exit.pml CACHE_BEFORE_KEY "-DSTART -DNTHREADS=2 -DREFUSALS=0"
expect_error exit.pml NO_SECOND_LOOK "-DSTART -DNTHREADS=2"
expect_error exit.pml DONE_BEFORE_KEY "-DSTART -DNTHREADS=2"
expect_error exit.pml WATCHED_AFTER "-DSTART -DNTHREADS=2"
expect_hole exit.pml DESTRUCTOR "-DSTART -DNTHREADS=2"
expect_error fork.pml HEAD_FIRST ""
expect_error fork.pml UNLINK_FIRST ""
expect_error fork.pml OWNER_FIRST ""
expect_error fork.pml SPARE_HEAD_FIRST ""
expect_error fork.pml TOP_FIRST "-DALONE -DSTALE"
expect_error fork.pml DEEPEN_TOP_FIRST "-DALONE -DSTALE"
expect_error fork.pml NO_OWN_FLUSH "-DALONE"
expect_error fork.pml NO_OWNER_CHECK ""
expect_error fork.pml NO_RESET ""
expect_error fork.pml NO_INIT_LOCK "-DALONE -DIDLE"
expect_error fork.pml ONE_BY_ONE "-DALONE -DIDLE -DNGONE=2"
expect_error fork.pml COUNT_KEPT "-DALONE -DTORN_COUNT -DFREES"
expect_error fork.pml SHARED_LEFT "-DALONE -DIDLE -DSHARED"
expect_error fork.pml LISTS_ALONE "-DALONE -DIN_SHARED"
expect_error fork.pml ADOPTER_WHOLE "-DALONE -DIDLE -DAGAIN -DFORK_IN_ADOPTION"
expect_error fork.pml ENTRY_STAYS "-DALONE -DIDLE -DAGAIN -DFORK_IN_ADOPTION"
expect_error fork.pml NO_LATE_LOOK "-DLATE -DALONE"
expect_error fork.pml OTHER_ADOPTS "-DLATE -DOTHER -DALONE"
expect_error tracer.pml LEASE_WITHOUT_LOCK "-DVIEWS=2"
expect_error tracer.pml LEASE_STORES "-DVIEWS=2"
expect_error tracer.pml NOT_RENEWED "-DVIEWS=2"
expect_error tracer.pml ANSWERED_STAYS "-DSAME"
expect_error tracer.pml ANSWERS_LATER_WISH "-DVIEWS=1"
expect_error tracer.pml REFUSAL_ANSWERS "-DVIEWS=1 -DREFUSE"
expect_error tracer.pml ANY_PROFILE "-DVIEWS=1 -DPROGRAM"
expect_error tracer.pml PROGRAM_WITHOUT_LOCK "-DVIEWS=1 -DPROGRAM"
expect_error tracer.pml NO_RESET "-DFORK -DVIEWS=1"
expect_error tracer.pml RATE_STAYS "-DFORK -DVIEWS=1"
expect_error tracer.pml ANSWERED_KEPT "-DFORK -DVIEWS=1"
expect_error tracer.pml SERIAL_LAST "-DFORK -DVIEWS=1"
expect_error tracer.pml SERIAL_STAYS "-DFORK -DVIEWS=1 -DCHILD_PROGRAM"
expect_error tracer.pml GRANTED_FIRST "-DFORK -DVIEWS=1 -DCHILD_VIEW -DWATCHER -DALONE"

# Every mutant and every hole in the models is tried.
for name in $(sed -n 's/^#if.*def \(MUTANT_[A-Z_]*\|HOLE_[A-Z_]*\).*/\1/p' "$here"/*.pml |
		sort -u); do
	case $name in
	MUTANT_*) line="expect_error [a-z.]* ${name#MUTANT_} " ;;
	*) line="expect_hole [a-z.]* ${name#HOLE_} " ;;
	esac
	grep -q "^$line" "$here/mutants.sh" || {
		echo "NOT TRIED $name"
		failed=1
	}
done
exit $failed
