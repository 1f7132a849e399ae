// What a fresh machine needs before anything runs: the packages, a build, a WebGPU adapter, a browser.
// Plain Node with no dependency, because nothing is installed yet when it starts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Progress goes to stderr, so that stdout can end with one JSON line. */
export function say(message) {
  process.stderr.write(`[cotune] ${message}\n`);
}

/** Runs a command with its output on stderr; exits this process with one sentence when it fails. */
export function run(command, args, { env = {}, hint } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', ...env },
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) {
    const why = result.error ? result.error.message : `exit code ${result.status ?? result.signal}`;
    say(`${command} ${args.join(' ')} failed: ${why}.${hint ? ` ${hint}` : ''}`);
    process.exit(1);
  }
}

export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    say(`Node ${process.versions.node} is too old: install Node 20.19 or newer.`);
    process.exit(1);
  }
}

const pnpm = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager;

/** Runs the pinned pnpm through npx, so that npm is the only prerequisite. */
export function runPnpm(...args) {
  run('npx', ['--yes', pnpm, ...args], { hint: 'Is the npm registry reachable?' });
}

export function installPackages() {
  const lockfile = join(root, 'pnpm-lock.yaml');
  const stamp = join(root, 'node_modules', '.modules.yaml');
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(lockfile).mtimeMs) return;
  say('installing packages with the frozen lockfile');
  runPnpm('install', '--frozen-lockfile');
}

export function build() {
  say('building the web app and the command line');
  runPnpm('exec', 'turbo', 'run', 'build');
}

/** Path of a Chromium that can be driven, or undefined. COTUNE_CHROMIUM overrides. */
export function findChromium() {
  const candidates = [
    process.env.COTUNE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/google-chrome-stable',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  ];
  return candidates.find((path) => path && existsSync(path));
}

/** The WebGPU adapter that Node would get: {kind, description} or undefined. Asked in a process of its own. */
export function probeWebGpu(env = {}) {
  const probe = spawnSync(process.execPath, [join(root, 'scripts', 'probe-webgpu.mjs')], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
  const line = (probe.stdout ?? '').trim().split('\n').at(-1);
  return line?.startsWith('{') ? JSON.parse(line) : undefined;
}

const isDebianRoot = () => process.platform === 'linux' && existsSync('/usr/bin/apt-get') && process.getuid?.() === 0;

let aptUpdated = false;
function apt(...packages) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  if (!aptUpdated) run('apt-get', ['update', '-qq'], { env });
  aptUpdated = true;
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
}

/**
 * A WebGPU adapter for Node. A machine that has one is left alone; on Debian as root Chromium is installed, whose
 * SwiftShader serves Node too; anywhere else the exact command is printed.
 */
export function ensureWebGpu() {
  if (probeWebGpu()) return;
  const packages = ['libvulkan1', 'chromium'];
  if (!isDebianRoot()) {
    say(
      'no WebGPU adapter found for Node. Install a Vulkan driver for your GPU; without a GPU, on Debian or Ubuntu: ' +
        'sudo apt-get install libvulkan1 mesa-vulkan-drivers (Mesa 25 or newer) or chromium.',
    );
    process.exit(1);
  }
  say(`no WebGPU adapter found: installing Debian packages ${packages.join(', ')} (software WebGPU)`);
  apt(...packages);
  if (!probeWebGpu()) {
    say(
      'software WebGPU was installed, but Dawn still finds no adapter: run `npm run -s cotune -- adapters` and report it.',
    );
    process.exit(1);
  }
}

/** A browser for the tabs. Installed on Debian as root; elsewhere its absence is reported to the caller. */
export function ensureChromium() {
  if (findChromium()) return findChromium();
  if (!isDebianRoot()) return undefined;
  say('no Chromium found: installing the Debian package chromium');
  apt('chromium');
  return findChromium();
}

const LLVMPIPE = '/usr/share/vulkan/icd.d/lvp_icd.json';

/** Mesa's llvmpipe ≥ 25 for tests: several times faster than SwiftShader, and it has shader-f16. */
export function ensureLlvmpipe() {
  const found = probeWebGpu();
  if (found && (found.kind === 'hardware' || found.kind === 'llvmpipe')) return;
  if (existsSync(LLVMPIPE) && probeWebGpu({ VK_ICD_FILENAMES: LLVMPIPE })) return;
  if (!isDebianRoot()) {
    if (found) say('tests run on SwiftShader; Mesa ≥ 25 (mesa-vulkan-drivers) would make them several times faster.');
    return;
  }
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const target = [];
  if (release.includes('VERSION_CODENAME=bookworm')) {
    const list = '/etc/apt/sources.list.d/cotune-bookworm-backports.list';
    const policy = spawnSync('apt-cache', ['policy', 'mesa-vulkan-drivers'], { encoding: 'utf8' }).stdout ?? '';
    if (!policy.includes('bookworm-backports')) {
      say(`adding the Debian archive bookworm-backports (${list}) for Mesa 25`);
      writeFileSync(list, 'deb http://deb.debian.org/debian bookworm-backports main\n');
      aptUpdated = false;
    }
    target.push('-t', 'bookworm-backports');
  }
  say('installing the Debian packages libvulkan1, mesa-vulkan-drivers (llvmpipe, software Vulkan) for the tests');
  apt(...target, 'libvulkan1', 'mesa-vulkan-drivers');
}

/** Installs, builds and checks for WebGPU: everything `start` and `test` need. */
export function setup() {
  requireNode();
  mkdirSync(join(root, '.cotune'), { recursive: true });
  installPackages();
  build();
  ensureWebGpu();
}
