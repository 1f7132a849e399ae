import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from './audit.ts';
import { type Coordinator, createRun, newTab, openBrowser, shoot, startCoordinator, untilPhase } from './stage.ts';

const BUDGET_BYTES = 250_000;
/** Words of hyparquet, of its decompressors and of Jinja that minifying leaves alone. */
const READERS = ['BYTE_STREAM_SPLIT', 'SNAPPY', 'raise_exception'];
const ASSETS = fileURLToPath(new URL('../../dist/assets/', import.meta.url));

let coordinator: Coordinator;
let browser: Browser;
let link: string;

beforeAll(async () => {
  coordinator = await startCoordinator();
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await coordinator?.close();
});

/** The scripts that a page has loaded so far: their compressed size, and their texts. */
function recordScripts(page: Page): { weigh(): Promise<number>; texts(): Promise<string> } {
  const bodies: Promise<Buffer>[] = [];
  page.on('response', (response) => {
    if (new URL(response.url()).pathname.endsWith('.js')) bodies.push(response.body());
  });
  return {
    weigh: async () => (await Promise.all(bodies)).reduce((sum, body) => sum + gzipSync(body).byteLength, 0),
    texts: async () => Buffer.concat(await Promise.all(bodies)).toString('utf8'),
  };
}

/** All scripts of the built app. */
async function built(): Promise<string> {
  const names = (await readdir(ASSETS)).filter((name) => name.endsWith('.js'));
  return (await Promise.all(names.map((name) => readFile(join(ASSETS, name), 'utf8')))).join('\n');
}

/** True when nothing sticks out at the side. */
const fits = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);

describe('pages', () => {
  it('the console refuses a wrong token, and makes a run with the owner’s', async () => {
    const { page, context, wrong } = await newTab(browser);
    await page.goto(`${coordinator.url}/admin`);
    await page.getByLabel('Owner token').fill('not-the-token');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByTestId('login-problem').waitFor();
    expect.soft(await audit(page)).toEqual([]);
    expect(await page.getByTestId('admin').count()).toBe(0);
    await page.goto('about:blank');
    await page.goto(coordinator.ownerUrl);
    await page.getByTestId('admin').waitFor();
    // The token does not stay in the address.
    expect(page.url()).not.toContain('owner=');
    link = await createRun(page, { name: 'Pages', numbers: { 'Fewest participants': 5, 'Most participants': 9 } });
    expect(link).toMatch(/\/join\/\S{20,}/);
    expect(await page.getByTestId('run-phase').getAttribute('data-phase')).toBe('open');
    await page.reload();
    await page.getByTestId('run-page').waitFor();
    await page.goto(`${coordinator.url}/admin/new`);
    await page.getByTestId('create-run').click();
    expect(await page.getByTestId('form-problem').textContent()).toContain('the marked field');
    expect.soft(await audit(page)).toEqual([]);
    // A number as people write it, what is none, and a setting that cannot be: each has its sentence, the first none.
    await page.getByRole('combobox', { name: 'Algorithm', exact: true }).selectOption('fedadam');
    await page.getByRole('combobox', { name: 'Task', exact: true }).selectOption('dpo');
    await page.getByRole('textbox', { name: 'Name' }).fill('Forms');
    await page.getByRole('textbox', { name: 'Tau', exact: true }).fill('1e-3');
    await page.getByRole('textbox', { name: 'Eta', exact: true }).fill('a little');
    await page.getByTestId('create-run').click();
    await page.getByText('Expected a number, such as 12, 0.001 or 1e-3').waitFor();
    expect(await page.getByTestId('form-problem').textContent()).toContain('the marked field.');
    await page.getByRole('textbox', { name: 'Eta', exact: true }).fill('0.01');
    await page.getByRole('textbox', { name: 'Tokens a prompt' }).fill('9999');
    await page.getByTestId('create-run').click();
    await page.getByText('Leave room for the answers').waitFor();
    expect.soft(await audit(page)).toEqual([]);
    await shoot(page, 'admin-new-run');
    await page.goto(`${coordinator.url}/admin`);
    await page.getByTestId('run-row').waitFor();
    expect(await page.getByTestId('run-row').count()).toBe(1);
    expect.soft(await audit(page)).toEqual([]);
    await shoot(page, 'admin-runs');
    await context.close();
    expect(wrong.filter((line) => !line.includes('401'))).toEqual([]);
  });

  it('the join page loads within its budget before joining, and nothing from elsewhere', async () => {
    const { page, context } = await newTab(browser);
    const { weigh, texts } = recordScripts(page);
    const foreign: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(coordinator.url)) foreign.push(request.url());
    });
    await page.goto(link);
    await page.getByTestId('consent').waitFor();
    const bytes = await weigh();
    console.log(`join page before joining: ${Math.round(bytes / 1000)} KB of compressed scripts`);
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThan(BUDGET_BYTES);
    // What reads data files is built, but comes with the Worker once there is a file.
    for (const library of READERS) {
      expect(await built()).toContain(library);
      expect(await texts()).not.toContain(library);
    }
    expect(foreign).toEqual([]);
    expect(await page.evaluate(() => window.crossOriginIsolated)).toBe(true);
    await context.close();
  });

  it('says what is wrong with a file, and with an invitation', async () => {
    const { page, context } = await newTab(browser);
    await page.goto(link);
    const input = page.locator('input[type=file]');
    await input.waitFor({ state: 'attached' });
    await input.setInputFiles({ name: 'empty.jsonl', mimeType: 'text/plain', buffer: Buffer.from('') });
    await page.getByTestId('data-problem').filter({ hasText: 'empty' }).waitFor();
    await input.setInputFiles({ name: 'rows.csv', mimeType: 'text/csv', buffer: Buffer.from('a,b\n1,2\n') });
    await page.getByTestId('data-problem').filter({ hasText: 'rows.csv' }).waitFor();
    expect(await page.getByTestId('join-button').isDisabled()).toBe(true);
    await page.goto(`${coordinator.url}/join/no-such-invitation`);
    expect(await untilPhase(page, ['failed'])).toBe('failed');
    expect(await page.getByTestId('problem').count()).toBe(1);
    expect.soft(await audit(page)).toEqual([]);
    await shoot(page, 'join-refused');
    await context.close();
  });

  it('fits a narrow screen, in the dark too', async () => {
    const { page, context } = await newTab(browser);
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(coordinator.url);
    await page.getByLabel('Join link').fill(link);
    expect.soft(await audit(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await fits(page)).toBe(true);
    await shoot(page, 'landing-narrow-dark');
    await page.keyboard.press('Enter');
    await page.getByTestId('consent').waitFor();
    await page.getByRole('button', { name: 'Use demo data' }).click();
    await page.getByTestId('data-preview').waitFor();
    expect(await fits(page)).toBe(true);
    await shoot(page, 'join-narrow-dark');
    expect.soft(await audit(page)).toEqual([]);
    await context.close();
  });
});
