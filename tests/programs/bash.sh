# bash.sh - a long script: arrays, hashes, strings, functions, subshells, coprocesses; and dash.
what="arrays, hashes, strings, recursion, subshells, traps, coprocess; dash"
packages="bash dash"
programs="bash dash"

prepare() {
	cat >"$INPUT/script" <<'END'
n=$1
declare -A count; declare -a list
x=42
for ((i = 0; i < n; i++)); do
	x=$(((x * 16807) % 2147483647))
	key=k$((x % 701))
	count[$key]=$((${count[$key]-0} + 1))
	list+=("$key-$x")
	(((x % 5) == 0)) && unset "list[$((x % ${#list[@]}))]"
done
for key in "${!count[@]}"; do echo "$key ${count[$key]}"; done | sort
text=${list[*]}
echo "${#text} ${#list[@]}"
text=${text:0:20000}
text=${text//k/<k>}; text=${text^^}; echo "${text:0:200}" "${#text}"
fib() { if (($1 < 2)); then REPLY=$1; else local a; fib $(($1 - 1)); a=$REPLY; fib $(($1 - 2));
REPLY=$((a + REPLY)); fi; }
fib 15; echo "$REPLY"
s=; for ((i = 0; i < n; i++)); do s+=${list[i]-.}; done; echo "${#s}"
[[ $text =~ (<K>[0-9]+)-([0-9]+) ]] && echo "${BASH_REMATCH[@]}"
for ((i = 0; i < n / 100; i++)); do v=$(echo "$i"; (exit $((i % 3))) || echo "$?"); w+=$v; done;
echo "${#w}"
coproc cat; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line";
eval "exec ${COPROC[1]}>&-"; wait
while read -r a b; do t=$((${t-0} + b)); done < <(printf 'a %d\n' {1..2000}); echo "$t"
mapfile -t lines < <(seq "$n"); printf '%s,' "${lines[@]: -5}"; echo
trap 'echo usr1' USR1; kill -USR1 $BASHPID; trap 'echo end' EXIT
printf -v big '%*s' 100000 x; echo "${#big}"; eval "f() { echo \"${text:0:500}\"; }";
declare -f f | wc -c
for i in {1..20}; do (echo {a..z}{0..9} | wc -w) & done | sort | uniq -c; wait
cat <<< "${lines[*]}" | wc
END
	cat >"$INPUT/dash" <<'END'
i=0; s=
while [ $i -lt "$1" ]; do i=$((i + 1)); s="$s $i"; case $i in *99) s=${s#* } ;; esac; done
set -- $s; echo $# "${s%%0*}"; for k do echo "$k"; done | sort | tail -n 2
f() { local x=$1; [ "$x" = 0 ] || { echo "$(f $((x - 1)))."; }; }; f 40
END
}

run_case() {
	bash "$INPUT/script" "$(pick 6000 20000)"
	dash "$INPUT/dash" "$(pick 2000 6000)"
}
