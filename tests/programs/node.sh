# node.sh - V8's heap, buffers, compression and crypto on the thread pool, workers, child processes.
what="objects, buffers, JSON, zlib and crypto on the thread pool, workers, child processes"
packages="nodejs"
programs="node"

prepare() {
	cat >"$INPUT/script.js" <<'END'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib'), { promisify } = require('util');
const { execFileSync } = require('child_process');
const md5 = s => crypto.createHash('md5').update(s).digest('hex');
function load(n) {
  let x = 42; const rnd = () => x = x * 16807 % 2147483647;
  const m = new Map();
  for (let i = 0; i < n; i++) {
    const k = 'key' + rnd() % (n / 7 | 0);
    if (!m.has(k)) m.set(k, []);
    m.get(k).push(rnd());
  }
  const s = JSON.stringify([...m].sort()); return s;
}
if (!isMainThread) { parentPort.postMessage(md5(load(workerData))); return; }
(async () => {
  const n = +process.argv[2], s = load(n);
  console.log(s.length, md5(s), md5(s.replace(/(\d)(\d)/g, '<$2$1>')), JSON.parse(s).length);
  const bufs = [];
  for (let i = 0; i < 3000; i++) bufs.push(Buffer.alloc(1 + i * 37 % 9000, i & 255));
  console.log(md5(Buffer.concat(bufs)));
  for (let i = 0; i < 40; i++) bufs[i] = new ArrayBuffer(1 << 20); bufs.length = 0;
  const deflate = promisify(zlib.deflate), pbkdf2 = promisify(crypto.pbkdf2);
  const z = await Promise.all([...Array(8)].map((_, i) => deflate(s.slice(i * 1000))));
  for (const b of z) console.log(b.length, md5(await promisify(zlib.inflate)(b)));
  console.log(md5(await promisify(zlib.brotliCompress)(s.slice(0, 20000))));
  const keys = await Promise.all(
    [...Array(4)].map((_, i) => pbkdf2('secret' + i, 'salt', 2000, 64, 'sha512')));
  console.log(keys.map(k => k.toString('hex')).join('\n'));
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = crypto.sign('sha256', Buffer.from(s), privateKey);
  console.log(crypto.verify('sha256', Buffer.from(s), publicKey, signature));
  console.log(await Promise.all([1, 2, 3].map(i => new Promise((ok, no) => {
    const w = new Worker(__filename, { workerData: i * 5000 });
    w.on('message', ok);
    w.on('error', no);
  }))));
  const child = 'console.log([..."abc"].map(c => c.repeat(1e5).length))';
  for (let i = 0; i < 2; i++) console.log(execFileSync(process.execPath, ['-e', child]).toString());
  console.log(execFileSync('/bin/echo', ['child']).toString(), (2n ** 5000n).toString().length);
})();
END
}

run_case() { node "$INPUT/script.js" "$(pick 20000 200000)"; }
