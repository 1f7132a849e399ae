// npm test [-- vitest arguments]: sets up what is missing and runs every test.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureChromium, ensureLlvmpipe, root, say, setup } from './environment.mjs';

const args = process.argv.slice(2);
const startedAtMs = Date.now();
await setup();
await ensureLlvmpipe();
const chromium = await ensureChromium();
if (!chromium && args.length === 0) {
  say('the browser tests need it; npm test -- --project NAME (kernels, fl-core) runs without');
  process.exit(1);
}
say(`set up in ${((Date.now() - startedAtMs) / 1000).toFixed(0)} s`);
const result = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...args], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, COTUNE_CHROMIUM: chromium ?? '' },
});
process.exit(result.status ?? 1);
