#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh [deep] [MODEL...] - searches every interleaving of the models (span.pml, say) in some small
# configurations.
#
# Exit status 0: no error in any. Otherwise 1, with spin's message and the trail, step by step.
# Takes some 15 s of one core and 400 MB for a model; deep: some minutes and up to 3 GB, for changes
# of the protocol. The largest state spaces are searched with hash-compact storage (HC4), whose
# chance to miss a state is below one in a million; nothing else is left out.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/search.sh"

# All with the recycled record of another class (LIVES, NCLASS) unless said otherwise.
span="
	-DBUDGET=3 -DSTACK=0
	-DBUDGET=4 -DSTACK=0 -DFRESH_HINT -DNCLASS=1
	-DBUDGET=3 -DFRESH_HINT -DOTHERS
	-DNSLOT=3 -DWORTH=2 -DBUDGET=3 -DLIVES=1 -DSTACK=0
	-DNSLOT=3 -DWORTH=2 -DBUDGET=4 -DLIVES=1 -DSTACK=0 -DFRESH_HINT -DNCLASS=1
	-DNTHREADS=2 -DNALLOC=2 -DBUDGET=5 -DLIVES=3 -DFRESH_HINT -DOTHERS
	-DDRAINS=2 -DBUDGET=3 -DSTACK=0 -DFRESH_HINT
	-DDRAINS=2 -DNSLOT=3 -DWORTH=2 -DBUDGET=4 -DLIVES=1 -DSTACK=0 -DFRESH_HINT -DNCLASS=1
"
tiny="
	-DNFREE=2 -DBUDGET=6
"
exit="
	-DFRESH_HINT
	-DFRESH_HINT -DTINY -DBUDGET=2
	-DNTHREADS=2 -DTINY -DOTHERS
	-DSTART -DNTHREADS=2 -DREFUSALS=0
"
accidents="-DTORN_COUNT -DSHARED -DFREES"
fork="
	-DNGONE=1 -DOTHERS
	-DALONE -DFREES -DSTALE -DOTHERS
	-DAGAIN -DALONE -DIDLE
	$accidents -DALONE
	$accidents -DALONE -DIN_SHARED
	-DLATE -DALONE
	-DLATE -DALONE -DOTHER
"
tracer="
	-DSAME
	-DVIEWS=2
	-DVIEWS=1 -DREFUSE -DWATCHER
	-DVIEWS=1 -DPROGRAM -DWATCHER
	-DFORK -DVIEWS=1 -DCHILD_PROGRAM
	-DFORK -DVIEWS=0 -DWATCHER -DPROGRAM -DREFUSE
	-DFORK -DVIEWS=1 -DCHILD_VIEW -DALONE
"
deep=
if [ "${1-}" = deep ]; then
	shift
	deep=1
	MEMLIM=6000
	exit="$exit
	-DTINY
	-DBUDGET=4 -DFRESH_HINT
	-DSTART -DNTHREADS=2
	-DSTART -DNREQUESTS=1 -DREFUSALS=0
"
	fork="$fork
	-DFREES
	-DAGAIN -DALONE
	-DNGONE=2 -DALONE
	$accidents
	$accidents -DIN_SHARED
	$accidents -DAGAIN -DFORK_IN_ADOPTION -DALONE -DIDLE
	$accidents -DNGONE=2 -DALONE
	-DLATE
	$accidents -DLATE -DALONE
	$accidents -DLATE -DALONE -DIN_SHARED
	$accidents -DLATE -DALONE -DIN_SHARED -DOTHER
"
	tracer="$tracer
	-DFORK -DVIEWS=1 -DCHILD_VIEW
	-DFORK -DVIEWS=1 -DCHILD_VIEW -DCHILD_PROGRAM -DALONE
	-DFORK -DVIEWS=1 -DCHILD_VIEW -DWATCHER -DALONE
	-DFORK -DVIEWS=1 -DPROGRAM -DCHILD_PROGRAM
"
	span="$span
	-DBUDGET=3
	-DBUDGET=4 -DFRESH_HINT
	-DNALLOC=2 -DBUDGET=3 -DFRESH_HINT
	-DNALLOC=3 -DBUDGET=4 -DLIVES=1 -DFRESH_HINT -DSTACK=0
	-DNSLOT=3 -DWORTH=2 -DBUDGET=5 -DSTACK=0 -DFRESH_HINT
	-DNTHREADS=2 -DNALLOC=2 -DBUDGET=6 -DLIVES=3
"
fi

failed=0
check() {
	model=$1
	printf '%s' "$2" | sed '/^[[:space:]]*$/d' > configs
	while read -r config; do
		search "$here/$model" "$config"
		case $? in
		0) echo "ok      $model $config ($states states)" ;;
		*) echo "FAILED  $model $config"; show_error "$here/$model" "$config"; failed=1 ;;
		esac
	done < configs
}

enter_scratch
for model in ${*:-span.pml tiny.pml exit.pml fork.pml tracer.pml}; do
	case $model in
	span.pml) check span.pml "$span" ;;
	tiny.pml) check tiny.pml "$tiny" ;;
	tracer.pml) check tracer.pml "$tracer" ;;
	exit.pml) check exit.pml "$exit" ;;
	# A large program, a short search.
	fork.pml) OPT=-O$([ -n "$deep" ] && echo 1 || echo 0) check fork.pml "$fork" ;;
	*) echo "run.sh: no model $model"; failed=1 ;;
	esac
done
exit $failed
