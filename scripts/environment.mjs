// What a fresh machine needs before anything runs: the packages, a build, a WebGPU adapter, a browser.
// Plain Node with no dependency, because nothing is installed yet when it starts.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Progress goes to stderr, so that stdout can end with one JSON line. */
export function say(message) {
  process.stderr.write(`[cotune] ${message}\n`);
}

/** Runs a command with its output on stderr; exits this process with one sentence when it fails. */
function run(command, args, hint = '') {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' },
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) {
    const why = result.error ? result.error.message : `exit code ${result.status ?? result.signal}`;
    say(`${command} ${args.join(' ')} failed: ${why}.${hint}`);
    process.exit(1);
  }
}

/** Runs a command with its output in .cotune/NAME.log and a line every ten seconds; shows the log's end when it fails. */
async function runQuietly(name, command, args, env) {
  const log = join(root, '.cotune', `${name}.log`);
  const file = openSync(log, 'w');
  const startedAtMs = Date.now();
  const alive = setInterval(() => {
    say(`… ${command} has run for ${((Date.now() - startedAtMs) / 1000).toFixed(0)} s`);
  }, 10_000);
  const why = await new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', file, file], env: { ...process.env, ...env } });
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (code, signal) => resolve(code === 0 ? undefined : `exit code ${code ?? signal}`));
  });
  clearInterval(alive);
  closeSync(file);
  if (why === undefined) return;
  process.stderr.write(`${readFileSync(log, 'utf8').trim().split('\n').slice(-15).join('\n')}\n`);
  say(`${command} ${args.join(' ')} failed: ${why}. Its whole output is in ${log}.`);
  process.exit(1);
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    say(`Node ${process.versions.node} is too old: install Node 20.19 or newer.`);
    process.exit(1);
  }
}

const pnpm = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager;

/** Runs the pinned pnpm through npx, so that npm is the only prerequisite. */
export function runPnpm(...args) {
  run('npx', ['--yes', pnpm, ...args], args[0] === 'install' ? ' Is the npm registry reachable?' : '');
}

function installPackages() {
  const lockfile = join(root, 'pnpm-lock.yaml');
  const stamp = join(root, 'node_modules', '.modules.yaml');
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(lockfile).mtimeMs) return;
  say('installing packages with the frozen lockfile');
  runPnpm('install', '--frozen-lockfile');
}

/** turbo builds only what changed, and prints the log of a build only when it fails. */
function build() {
  say('building the web app and the command line');
  runPnpm('exec', 'turbo', 'run', 'build', '--output-logs=errors-only');
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

// In the order of preference: Mesa's llvmpipe, then the SwiftShader inside Debian's Chromium.
const SOFTWARE_DRIVERS = [
  '/usr/share/vulkan/icd.d/lvp_icd.json',
  '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
  '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json',
  '/usr/lib/chromium/vk_swiftshader_icd.json',
];

let namedDriver;

/**
 * The WebGPU adapter that Node would get: {kind, description} or undefined. Asked in a process of its own. A software
 * driver that had to be named is named to what this process starts as well.
 */
function probeWebGpu() {
  if (namedDriver) delete process.env.VK_ICD_FILENAMES;
  const drivers = SOFTWARE_DRIVERS.filter((path) => existsSync(path));
  const probe = spawnSync(process.execPath, [join(root, 'scripts', 'probe-webgpu.mjs'), ...drivers], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  });
  const line = (probe.stdout ?? '').trim().split('\n').at(-1);
  const found = line?.startsWith('{') ? JSON.parse(line) : undefined;
  namedDriver = found?.driver;
  if (namedDriver) process.env.VK_ICD_FILENAMES = namedDriver;
  return found;
}

const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
const hasApt = existsSync('/usr/bin/apt-get');
const isDebian = hasApt && /^ID=debian$/m.test(release); // not Ubuntu, whose chromium is a snap
const isBookworm = isDebian && /^VERSION_CODENAME=bookworm$/m.test(release);
const isDebianRoot = isDebian && process.getuid?.() === 0;

const WEBGPU_PACKAGES = ['libvulkan1', 'chromium'];
const LLVMPIPE_PACKAGES = ['libvulkan1', 'mesa-vulkan-drivers'];
const BACKPORTS = 'deb http://deb.debian.org/debian bookworm-backports main';
const BACKPORTS_LIST = '/etc/apt/sources.list.d/bookworm-backports.list';

let aptUpdated = false;
async function apt(...args) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const wait = ['-o', 'DPkg::Lock::Timeout=120'];
  if (!aptUpdated) await runQuietly('apt-update', 'apt-get', [...wait, 'update'], env);
  aptUpdated = true;
  await runQuietly('apt-install', 'apt-get', [...wait, 'install', '-y', '--no-install-recommends', ...args], env);
}

/**
 * A WebGPU adapter for Node. A machine that has one is left alone; on Debian as root Chromium is installed, whose
 * SwiftShader serves Node too; anywhere else the exact command is printed.
 */
async function ensureWebGpu() {
  if (probeWebGpu()) return;
  if (!isDebianRoot) {
    say('Node finds no WebGPU adapter. On a machine with a GPU, install its driver (on Linux, the Vulkan one).');
    if (isDebian) say(`Without a GPU: sudo apt-get install -y ${WEBGPU_PACKAGES.join(' ')}`);
    else if (hasApt) say(`Without a GPU: sudo apt-get install -y ${LLVMPIPE_PACKAGES.join(' ')}`);
    else if (process.platform === 'linux') say("Without a GPU: install Mesa's llvmpipe (lavapipe), 25 or newer.");
    process.exit(1);
  }
  say(`no WebGPU adapter found: installing the Debian packages ${WEBGPU_PACKAGES.join(', ')} (software WebGPU)`);
  await apt(...WEBGPU_PACKAGES);
  if (!probeWebGpu()) {
    say('software WebGPU was installed, but Node still finds no adapter: please report what this prints:');
    say(`node scripts/probe-webgpu.mjs ${SOFTWARE_DRIVERS.at(-1)}`);
    process.exit(1);
  }
}

/** Path of a browser for the tabs. Installed on Debian as root; elsewhere says how to and returns undefined. */
export async function ensureChromium() {
  if (!findChromium() && isDebianRoot) {
    say('no Chromium found: installing the Debian package chromium');
    await apt('chromium');
  }
  const found = findChromium();
  if (!found) {
    const how = isDebian
      ? 'sudo apt-get install -y chromium'
      : 'install Chromium or Chrome, or name one in COTUNE_CHROMIUM';
    say(`no Chromium or Chrome found: ${how}`);
  }
  return found;
}

/** Mesa's llvmpipe ≥ 25 for tests: several times faster than SwiftShader, and it has shader-f16. */
export async function ensureLlvmpipe() {
  const found = probeWebGpu();
  if (found?.kind === 'hardware' || found?.kind === 'llvmpipe') return;
  if (!isDebianRoot) {
    say('tests run on SwiftShader; Mesa 25 or newer would make them several times faster:');
    const from = isBookworm ? `echo '${BACKPORTS}' | sudo tee ${BACKPORTS_LIST} && sudo apt-get update && ` : '';
    if (hasApt) {
      say(`${from}sudo apt-get install -y ${[...backportsTarget(), ...LLVMPIPE_PACKAGES].join(' ')}`);
    }
    return;
  }
  if (isBookworm) {
    const policy = spawnSync('apt-cache', ['policy'], { encoding: 'utf8' }).stdout ?? '';
    if (!policy.includes('bookworm-backports')) {
      say(`adding the Debian archive bookworm-backports (${BACKPORTS_LIST}) for Mesa 25`);
      writeFileSync(BACKPORTS_LIST, `${BACKPORTS}\n`);
      aptUpdated = false;
    }
  }
  say(`installing the Debian packages ${LLVMPIPE_PACKAGES.join(', ')} (llvmpipe, software Vulkan) for the tests`);
  await apt(...backportsTarget(), ...LLVMPIPE_PACKAGES);
  say(`tests run on ${probeWebGpu()?.description ?? 'no adapter'}`);
}

function backportsTarget() {
  return isBookworm ? ['-t', 'bookworm-backports'] : [];
}

/** Installs, checks for WebGPU and builds: everything `start` and `test` need. */
export async function setup() {
  requireNode();
  mkdirSync(join(root, '.cotune'), { recursive: true });
  installPackages();
  await ensureWebGpu();
  build();
}
