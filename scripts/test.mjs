// npm test [-- vitest arguments]: sets up what is missing and runs every test.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureChromium, ensureLlvmpipe, findChromium, root, say, setup } from './environment.mjs';

setup();
ensureLlvmpipe();
if (!ensureChromium()) say('no Chromium or Chrome found (set COTUNE_CHROMIUM): browser tests will fail');
const result = spawnSync(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, COTUNE_CHROMIUM: findChromium() ?? '' },
  },
);
process.exit(result.status ?? 1);
