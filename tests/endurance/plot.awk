# SPDX-License-Identifier: MIT
#
# plot.awk - draws the lines "SECONDS LIVE RESIDENT" (MiB) of several runs as one plot (SVG).
#
# With the variable `what` unset it draws what is resident over what is live, as means of a minute
# (or of a thirtieth of a run below half an hour); `seconds` says how long the runs were. With
# what=resident it draws what is resident at each line, and what is live in the first file as an
# area. A file is named after its allocator.
function finish_point() {
	# Less than half of a point's samples are none.
	if (n > 0 && n >= step) {
		time[name, npoints[name]] = at / n
		value[name, npoints[name]++] = what == "resident" ? resident / n : resident / live
		if (what == "resident" && nnames == 1)
			area = area sprintf("%s %s\n", at / n, live / n)
		if (at / n > last_time) last_time = at / n
	}
	n = at = resident = live = 0
}
function x_of(t) { return left + (right - left) * t / seconds }
function y_of(v) { return bottom - (bottom - top) * v / most }

# The least of 1, 2, 5, 10, 20, ... that divides `v` into six steps at most.
function grid_step(v,   unit) {
	for (unit = 1; ; unit *= 10) {
		if (v <= 6 * unit) return unit
		if (v <= 12 * unit) return 2 * unit
		if (v <= 30 * unit) return 5 * unit
	}
}
function draw_frame(   grid, i) {
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 350\"" \
		" font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"860\" height=\"350\" fill=\"white\"/>"
	grid = what == "resident" ? grid_step(most) : 1
	for (i = 0; i <= most; i += grid)
		printf "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\"" \
			" text-anchor=\"end\">%d</text>\n",
			left, y_of(i), right, left - 6, y_of(i) + 4, i
	grid = what == "resident" ? grid_step(seconds) : seconds / 6
	for (i = 0; i <= seconds; i += grid)
		printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
			x_of(i), bottom + 18, what == "resident" ? i : i / 60
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
		(left + right) / 2, bottom + 38, what == "resident" ? "seconds" : "minutes"
	printf "<text x=\"%d\" y=\"14\">%s</text>\n", left,
		what == "resident" ? "MiB resident; the area is live" : "resident / live"
}
function draw_area(   count, point, i, v) {
	count = split(area, point, "\n") - 1
	if (count < 1) return
	printf "<path fill=\"#e8e8e8\" d=\"M%.1f %.1f", x_of(0), y_of(0)
	for (i = 1; i <= count; i++) {
		split(point[i], v, " ")
		printf "L%.1f %.1f", x_of(v[1]), y_of(v[2])
	}
	printf "V%.1fZ\"/>\n", y_of(0)
}
function draw_curve(i,   k) {
	printf "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" d=\"", colour[i],
		order[i] == "goalloc" ? 2.5 : 1.5
	for (k = 0; k < npoints[order[i]]; k++)
		printf "%s%.1f %.1f", k == 0 ? "M" : "L", x_of(time[order[i], k]),
			y_of(value[order[i], k])
	printf "\"/>\n<path d=\"M%d %dh16\" stroke=\"%s\" stroke-width=\"2\"/>" \
		"<text x=\"%d\" y=\"%d\">%s</text>\n", right + 12, top + 18 * i, colour[i],
		right + 34, top + 18 * i + 4, order[i]
}

BEGIN {
	left = 50; right = 720; top = 20; bottom = 300
	split("#c0392b #555555 #2471a3 #1e8449 #b7950b #7d3c98 #0e8a8a #a04000", colour, " ")
	step = what == "resident" ? 0 : seconds >= 1800 ? 60 : seconds / 30
}
FNR == 1 {
	finish_point()
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\.txt$/, "", name)
	order[++nnames] = name
	npoints[name] = 0
	next_end = step
}
/^[0-9]/ {
	if ($1 >= next_end) {
		finish_point()
		next_end += step
	}
	n++; at += $1; live += $2; resident += $3
}
END {
	finish_point()
	if (what == "resident") seconds = last_time
	most = 1
	for (i = 1; i <= nnames; i++)
		for (k = 0; k < npoints[order[i]]; k++)
			if (value[order[i], k] > most) most = value[order[i], k]
	most = int(most) + 1
	draw_frame()
	draw_area()
	for (i = 1; i <= nnames; i++)
		draw_curve(i)
	print "</svg>"
}
