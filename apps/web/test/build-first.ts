import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The browser tests run what is shipped: builds the web app and the coordinator where they have not been built. */
export default function buildFirst(): void {
  const apps = fileURLToPath(new URL('../../', import.meta.url));
  for (const [app, result] of [
    ['web', 'dist/index.html'],
    ['coordinator', 'dist/cotune.js'],
  ] as const) {
    if (existsSync(`${apps}${app}/${result}`)) continue;
    const vite = fileURLToPath(new URL('../../../node_modules/vite/bin/vite.js', import.meta.url));
    execFileSync(process.execPath, [vite, 'build'], { cwd: `${apps}${app}`, stdio: 'inherit' });
  }
}
