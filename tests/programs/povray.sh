# povray.sh - threads of C++ that delete objects by a size that is not theirs.
what="a scene rendered in 4 threads; pixels identical; sizemismatch=warn"
packages="povray imagemagick"
programs="povray convert"

run_case() {
	local n
	n=$(pick 100 320)
	export GOALLOC=sizemismatch=warn
	cat >scene.pov <<-'END'
		camera { location <0, 2, -5> look_at 0 }
		light_source { <5, 5, -5> rgb 1 }
		#declare i = 0;
		#while (i < 200)
			sphere { <sin(i) * 2, cos(i * 3), i / 50>, .2
				pigment { rgb <i / 200, .5, .2> } finish { reflection .2 } }
			#declare i = i + 1;
		#end
		plane { y, -1 pigment { checker rgb 1, rgb 0 } }
	END
	# Its own mistakes are told among the rest of what it says.
	povray -D +Iscene.pov +Oscene.png "+W$n" "+H$n" +WT4 +A >said 2>&1
	convert scene.png -depth 8 rgb:- | sha256sum
	[ -z "${LD_PRELOAD-}" ] || grep -q 'goalloc: operator delete(.*size mismatch' said
}
