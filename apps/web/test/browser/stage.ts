import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const CLI = fileURLToPath(new URL('../../../coordinator/dist/cotune.js', import.meta.url));
const SHOTS = fileURLToPath(new URL('../../test-results/', import.meta.url));
const CHROMIUM_FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--disable-sync',
];

export interface Coordinator {
  readonly url: string;
  readonly ownerUrl: string;
  close(): Promise<void>;
}

/** The shipped coordinator as a process of its own, on a free port, with the demo model and an empty data directory. */
export async function startCoordinator(): Promise<Coordinator> {
  const dataDir = await mkdtemp(join(tmpdir(), 'cotune-web-test-'));
  const child = spawn(process.execPath, [CLI, 'serve', '--demo', '--port', '0', '--data-dir', dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ownerUrl = await ownerLink(child);
  return {
    url: new URL(ownerUrl).origin,
    ownerUrl,
    async close() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function ownerLink(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const read = (chunk: Buffer) => {
      said += chunk.toString('utf8');
      const link = /https?:\/\/\S+#owner=\S+/.exec(said)?.[0];
      if (link) resolve(link);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', (code) => reject(new Error(`the coordinator ended with ${code} before it was ready:\n${said}`)));
  });
}

/** Headless Chromium with software WebGPU. COTUNE_CHROMIUM overrides the path. */
export function openBrowser(): Promise<Browser> {
  const paths = [
    process.env.COTUNE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ];
  const executablePath = paths.find((path) => path && existsSync(path));
  if (!executablePath)
    throw new Error('no Chromium found: install it (apt-get install chromium) or set COTUNE_CHROMIUM');
  return chromium.launch({ executablePath, headless: true, args: CHROMIUM_FLAGS });
}

/** What went wrong in a page: exceptions, console errors (CSP violations among them), server errors. */
export function watch(page: Page): string[] {
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(`console: ${message.text()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 500) wrong.push(`${response.status()} from ${response.url()}`);
  });
  return wrong;
}

/** A page in a profile of its own, so that every tab is a participant of its own. */
export async function newTab(browser: Browser): Promise<{ page: Page; context: BrowserContext; wrong: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 850 } });
  const page = await context.newPage();
  return { page, context, wrong: watch(page) };
}

/** Keeps a picture of the whole page among the test results. */
export async function shoot(page: Page, name: string): Promise<void> {
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

/** Settings of a short run; any field of the form by its label. */
export interface RunSettings {
  readonly name: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/** Creates a run through the admin form and returns its join link; the page then shows the run. */
export async function createRun(admin: Page, { name, numbers }: RunSettings): Promise<string> {
  await admin.getByTestId('new-run').click();
  await admin.getByTestId('new-run-form').waitFor();
  await admin.getByRole('textbox', { name: 'Name' }).fill(name);
  for (const [label, value] of Object.entries(numbers)) {
    await admin.getByRole('textbox', { name: label, exact: true }).fill(String(value));
  }
  await admin.getByTestId('create-run').click();
  await admin.getByTestId('run-page').waitFor();
  await admin.getByTestId('create-invitation').click();
  return admin.getByRole('textbox', { name: 'Join link' }).inputValue();
}

/** Waits until the join page is in one of the phases; fails at once when the page failed. */
export async function untilPhase(page: Page, phases: readonly string[], timeoutMs = 120_000): Promise<string> {
  const wanted = [...phases, 'failed'].map((phase) => `[data-testid=join][data-phase="${phase}"]`).join(', ');
  const element = page.locator(wanted).first();
  await element.waitFor({ timeout: timeoutMs });
  const phase = (await element.getAttribute('data-phase')) ?? '';
  if (phase === 'failed' && !phases.includes('failed')) {
    throw new Error(`the join page failed: ${await page.getByTestId('problem').textContent()}`);
  }
  return phase;
}
