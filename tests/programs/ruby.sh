# ruby.sh - hashes, strings, garbage collection with compaction, fibers, threads, fork.
what="hashes, strings, GC and compaction, fibers, threads, fork"
packages="ruby"
programs="ruby"

prepare() {
	cat >"$INPUT/script.rb" <<'END'
require 'digest'; require 'json'; require 'zlib'; require 'set'
n = ARGV[0].to_i
r = Random.new(42)
h = Hash.new { |hash, k| hash[k] = [] }
n.times { k = "key#{r.rand(n / 7)}"; h[k] << r.rand(1 << 62) }
h.keys.each_slice(3) { |k, *| h.delete k }
puts h.size, Digest::MD5.hexdigest(JSON.generate(h)), JSON.parse(JSON.generate(h)) == h
s = +''; n.times { |i| s << i.to_s << ',' };
puts Digest::MD5.hexdigest(s.gsub(/(\d)(\d)/) { "#{$2}<#{$1}>" })
puts s.scan(/[13579]{3}/).tally.sort.first(3).inspect, s.unpack('N*').sum
Node = Struct.new(:kids, :name)
def tree(d) = Node.new(d.zero? ? [] : Array.new(5) { tree(d - 1) }, 'n' * d)
def count(t) = 1 + t.kids.sum { |k| count(k) }
3.times { puts count(tree(6)); GC.start }
GC.compact if GC.respond_to?(:compact)
puts Array.new(n) { |i| (i * 7919) % 10007 }.sort_by { |x| [x % 13,
	-x] }.each_slice(100).map(&:sum).hash == 0, (3**5000).to_s.size
puts Zlib::Inflate.inflate(Zlib::Deflate.deflate(s)) == s, Set.new(s.bytes).size
f = Array.new(200) { |i| Fiber.new { 10.times { |j| Fiber.yield "#{i}:#{j}" * 9 } } };
puts (0...10).sum { f.sum { |x| x.resume.size } }
q = Queue.new; t = Array.new(4) { Thread.new { m = 0; while (i = q.pop);
m += Array.new(100) { |k| "#{i}#{k}" }.join.size; end; m } }
400.times { |i| q << i }; 4.times { q << nil }; puts t.sum(&:value)
4.times { |i| rd, wr = IO.pipe; pid = fork { rd.close;
wr.puts Array.new(5000) { |k| "#{k * i}" }.join.size; exit!(0) }; wr.close; puts rd.read;
Process.wait pid; puts $?.exitstatus }
puts `echo child`, ObjectSpace.each_object(Class).count > 100
END
}

run_case() { ruby "$INPUT/script.rb" "$(pick 20000 100000)"; }
