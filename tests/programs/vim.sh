# vim.sh - vim edits by script.
what="substitute, sort, undo, syntax, lists and maps in a script"
packages="vim"
programs="vim"

prepare() { words "$(pick 5000 30000)" >"$INPUT/words"; }

run_case() {
	cat >script.vim <<-'END'
		set undolevels=1000
		%s/item\(\d\+\)/<\1>/g
		sort /text-/
		g/<77>/d
		v/[0-4]$/s/$/ odd/
		undo
		redo
		let d = {}
		for l in getline(1, "$")
			let k = split(l)[1]
			let d[k] = get(d, k, 0) + 1
		endfor
		call append(0, string(sort(items(d))[0:20]))
		w! out/words
		syntax on
		set ft=c
		qa!
	END
	vim -u NONE -i NONE -N -e -s -S script.vim "$INPUT/words"
	wc out/words
}
