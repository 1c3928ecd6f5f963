# lua.sh - tables, strings, closures, coroutines, both garbage collectors.
what="tables, strings, closures, coroutines, both collectors"
packages="lua5.4"
programs="lua5.4"

prepare() {
	cat >"$INPUT/script.lua" <<'END'
local n = tonumber(arg[1])
local x = 42
local function rnd() x = x * 16807 % 2147483647 return x end
local function run(mode)
	collectgarbage(mode)
	local t = {}
	for i = 1, n do local k = "key" .. rnd() % (n // 7);
	t[k] = (t[k] or "") .. string.char(97 + rnd() % 26) end
	local keys = {}
	for k, v in pairs(t) do keys[#keys + 1] = k .. v end
	table.sort(keys)
	local s = table.concat(keys, ",")
	print(#keys, #s, s:sub(1, 60), select(2, s:gsub("%d(%a+),", "<%1>")))
	local function tree(d)
		if d == 0 then return {} end
		local r = { name = ("n"):rep(d) }
		for i = 1, 4 do r[i] = tree(d - 1) end
		return r
	end
	local function count(r) local c = 1 for i = 1, #r do c = c + count(r[i]) end return c end
	for _ = 1, 4 do print(count(tree(7))) end
	local cs = {}
	for i = 1, 2000 do
		cs[i] = coroutine.wrap(function()
			for j = 1, 10 do coroutine.yield(i .. ":" .. j) end
		end)
	end
	local total = 0
	for _ = 1, 10 do for i = 1, #cs do total = total + #cs[i]() end end
	print(total)
	local fs = {}
	for i = 1, n do fs[i] = function(y) return i + y end end
	local sum = 0
	for i = 1, n do sum = sum + fs[i](1) end
	local packed = {}
	for i = 1, n do packed[i] = string.pack("<i4s2", i, keys[i % #keys + 1]) end
	print(sum, #table.concat(packed))
	t, keys, cs, fs, packed = nil
	collectgarbage()
	print(collectgarbage("count") < 4000)
end
run("incremental") run("generational")
END
}

run_case() { lua5.4 "$INPUT/script.lua" "$(pick 40000 250000)"; }
