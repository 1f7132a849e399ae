// Installs the other libraries on first use, builds the page, serves it on loopback, runs it in headless
// Chromium and prints what it found. Plain Node: nothing is installed when it starts.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const USAGE = `npm run bench:peers -- [options]: our kernels beside other libraries', in one headless browser

  --only matmul|step       one part alone
  --shapes 256x1024x1024   tokens×inputs×outputs of the products, separated by commas
  --libraries jax-js,tfjs  these of the others alone
  --repeats N              interleaved repeats, of which the median counts (5)
  --burst-ms N             how long each repeat lasts (300)
  --adapter auto|swiftshader|hardware
  --json FILE              every figure, for plots and tables
`;

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../../../..');
const say = (line) => process.stderr.write(`[bench:peers] ${line}\n`);

function fail(message) {
  say(message);
  process.exit(1);
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: here, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (result.status !== 0) fail(`${command} ${args.join(' ')} failed: ${result.error?.message ?? result.status}`);
}

function parsed(config) {
  try {
    return parseArgs(config);
  } catch (error) {
    say(error.message);
    process.stderr.write(USAGE);
    return process.exit(2);
  }
}

function parseOptions() {
  const { values } = parsed({
    options: {
      help: { type: 'boolean', default: false },
      json: { type: 'string' },
      only: { type: 'string' },
      shapes: { type: 'string' },
      libraries: { type: 'string' },
      repeats: { type: 'string', default: '5' },
      'burst-ms': { type: 'string', default: '300' },
      adapter: { type: 'string', default: 'auto' },
    },
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const number = (name) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1) fail(`--${name} ${values[name]}: expected a whole number ≥ 1`);
    return value;
  };
  const oneOf = (name, allowed) => {
    if (!allowed.includes(values[name])) fail(`--${name} ${values[name]}: expected ${allowed.join(', ')}`);
    return values[name];
  };
  const shapes = values.shapes?.split(',').map((shape) => {
    const [rows, inputs, outputs] = shape.split('x').map(Number);
    if (!(rows > 0 && inputs % 32 === 0 && outputs % 8 === 0)) {
      fail(
        `--shapes ${shape}: expected tokens×inputs×outputs, inputs a multiple of 32, outputs of 8, e.g. 512x128x344`,
      );
    }
    return { rows, inputs, outputs };
  });
  return {
    json: values.json,
    adapter: oneOf('adapter', ['auto', 'swiftshader', 'hardware']),
    parts: values.only ? [oneOf('only', ['matmul', 'step'])] : ['matmul', 'step'],
    shapes: shapes ?? null,
    libraries: values.libraries?.split(',') ?? null,
    repeats: number('repeats'),
    burstMs: number('burst-ms'),
  };
}

/** With the workspace's pinned pnpm, the lockfile as it stands, and no install script run. */
function install() {
  const stamp = join(here, 'node_modules', '.modules.yaml');
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(join(here, 'pnpm-lock.yaml')).mtimeMs) return;
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  say('installing the other libraries (300 MB)');
  run('npx', ['--yes', packageManager, 'install', '--frozen-lockfile', '--ignore-workspace', '--ignore-scripts']);
}

function versions() {
  const names = ['onnxruntime-web', '@tensorflow/tfjs-core', '@jax-js/jax'];
  const version = (name) => JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).version;
  return Object.fromEntries(names.map((name) => [name, version(name)]));
}

/** Builds the page and serves it with onnxruntime-web's own files under /ort/, isolated so that timers are exact. */
async function servePage() {
  const { build, preview } = await import('vite');
  await build({ root: here });
  const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
  const dist = join(here, 'node_modules/onnxruntime-web/dist');
  const ort = {
    name: 'onnxruntime-web-files',
    configurePreviewServer(server) {
      server.middlewares.use('/ort/', (request, response, next) => {
        const name = request.url.split('?')[0].slice(1);
        if (!/^[\w.-]+\.(mjs|wasm)$/.test(name) || !existsSync(join(dist, name))) return next();
        const type = name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
        response.writeHead(200, { ...headers, 'Content-Type': type });
        response.end(readFileSync(join(dist, name)));
      });
    },
  };
  return preview({ root: here, plugins: [ort], preview: { host: '127.0.0.1', port: 0, headers } });
}

function findChromium() {
  const found = [
    process.env.COTUNE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/google-chrome-stable',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  ].find((path) => path && existsSync(path));
  return found ?? fail('no Chromium found: set COTUNE_CHROMIUM to one');
}

async function openPage(executablePath, url, software) {
  const { chromium } = await import('playwright-core');
  const vulkan = process.platform === 'linux' ? ['--enable-features=Vulkan', '--use-angle=vulkan'] : [];
  const browser = await chromium.launch({
    executablePath,
    headless: true, // --headless=new
    args: [
      '--enable-unsafe-webgpu',
      '--disable-background-networking',
      '--disable-component-update',
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      ...(software ? ['--use-webgpu-adapter=swiftshader'] : vulkan),
    ],
  });
  const page = await browser.newPage();
  page.on('console', (message) => say(message.text()));
  page.on('pageerror', (error) => say(`page: ${error.message}`));
  if (process.platform === 'linux') await page.exposeFunction('gpuProcessCpuMs', gpuProcessCpuMs);
  await page.goto(url);
  return { browser, page };
}

/** CPU time of the browser's GPU process, where a software adapter does its work; read from /proc, so Linux only. */
function gpuProcessCpuMs() {
  const CLOCK_TICK_MS = 10; // USER_HZ is 100 on every Linux
  const stat = (pid) =>
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  const isOurs = (pid) => pid === process.pid || (pid > 1 && isOurs(Number(stat(pid)[1])));
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=gpu-process') || !isOurs(Number(pid)))
        continue;
      const fields = stat(pid);
      return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
    } catch {} // ended meanwhile
  }
  throw new Error('the browser has no GPU process');
}

/** The hardware adapter where the browser has one, else Chromium's own SwiftShader. */
async function openBest(executablePath, url, adapter) {
  if (adapter !== 'swiftshader') {
    const opened = await openPage(executablePath, url, false);
    const kind = await opened.page.evaluate(() => globalThis.adapterKind()).catch(() => 'none');
    if (kind === 'hardware') return opened;
    await opened.browser.close();
    if (adapter === 'hardware') fail('this browser offers no hardware WebGPU adapter');
  }
  return openPage(executablePath, url, true);
}

const { json, adapter, ...options } = parseOptions();
const executablePath = findChromium();
install();
let server;
let opened;
try {
  server = await servePage();
  opened = await openBest(executablePath, server.resolvedUrls.local[0], adapter);
  const { browser, page } = opened;
  const environment = { browser: `Chromium ${browser.version()}`, versions: versions(), wasmPath: '/ort/' };
  const result = await page.evaluate((all) => globalThis.benchPeers(all), { ...options, ...environment });
  if (json) writeFileSync(resolve(process.env.INIT_CWD ?? '.', json), `${JSON.stringify(result.report, null, 2)}\n`);
  process.stdout.write(`${result.table}\n`);
} catch (error) {
  process.exitCode = 1;
  say(error.message);
} finally {
  await opened?.browser.close();
  await server?.close();
}
