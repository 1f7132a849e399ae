// npm start [-- --demo …]: sets up what is missing, then hands over to the command line.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureChromium, root, say, setup } from './environment.mjs';

const args = process.argv.slice(2);
const startedAtMs = Date.now();
await setup();
const demo = args.includes('--demo');
const chosen = args.find((arg, at) => arg.startsWith('--participants=') || args[at - 1] === '--participants');
if (demo && !chosen?.endsWith('node') && !(await ensureChromium()) && !chosen) {
  say('the demo goes on with Node participants instead of tabs');
}
say(`set up in ${((Date.now() - startedAtMs) / 1000).toFixed(0)} s`);
const command = demo ? ['demo', ...args.filter((arg) => arg !== '--demo')] : ['serve', '--demo', ...args];
// In a process group of its own: a terminal's Ctrl-C, which npm repeats, reaches it once, through here.
const grouped = process.platform !== 'win32';
const child = spawn(process.execPath, [join(root, 'apps/coordinator/dist/cotune.js'), ...command], {
  cwd: root,
  stdio: 'inherit',
  detached: grouped,
});
function signalAll(signal) {
  try {
    process.kill(grouped ? -child.pid : child.pid, signal);
  } catch {
    // It has ended already.
  }
}
let askedAtMs = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    const again = askedAtMs > 0;
    if (again && Date.now() - askedAtMs < 1000) return;
    askedAtMs = Date.now();
    signalAll(again ? 'SIGKILL' : signal);
  });
}
child.on('exit', (code, signal) => {
  signalAll('SIGTERM'); // participants it left behind
  process.exit(code ?? (signal ? 1 : 0));
});
