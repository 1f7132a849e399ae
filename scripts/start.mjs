// npm start [-- --demo …]: sets up what is missing, then hands over to the command line.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureChromium, root, say, setup } from './environment.mjs';

const args = process.argv.slice(2);
const startedAtMs = Date.now();
setup();
const demo = args.includes('--demo');
if (demo && !args.includes('node') && !ensureChromium()) {
  say('no Chromium or Chrome found (set COTUNE_CHROMIUM): the demo uses Node participants instead of tabs');
}
say(`set up in ${((Date.now() - startedAtMs) / 1000).toFixed(0)} s`);
const command = demo ? ['demo', ...args.filter((arg) => arg !== '--demo')] : ['serve', '--demo', ...args];
const child = spawn(process.execPath, [join(root, 'apps/coordinator/dist/cotune.js'), ...command], {
  cwd: root,
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
