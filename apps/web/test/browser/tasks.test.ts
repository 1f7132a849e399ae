import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from './audit.ts';
import { type Coordinator, createRun, newTab, openBrowser, shoot, startCoordinator, untilPhase } from './stage.ts';

const TWO = { Rounds: 2, 'Steps a round': 2, 'Fewest participants': 2, 'Most participants': 2 };
const NOT_EVALUATED = { 'Evaluate on': '' };

let coordinator: Coordinator;
let browser: Browser;
let admin: Page;

beforeAll(async () => {
  coordinator = await startCoordinator();
  browser = await openBrowser();
  admin = (await newTab(browser)).page;
  await admin.goto(coordinator.ownerUrl);
  await admin.getByTestId('admin').waitFor();
});
afterAll(async () => {
  await browser?.close();
  await coordinator?.close();
});

async function newRun(name: string, numbers: Record<string, number>, choices: Record<string, string>): Promise<string> {
  await admin.goto(`${coordinator.url}/admin`);
  return createRun(admin, { name, numbers: { ...TWO, ...numbers }, choices: { ...NOT_EVALUATED, ...choices } });
}

/** Puts a file into a tab's picker. */
async function choose(page: Page, name: string, content: string): Promise<void> {
  const input = page.locator('input[type=file]');
  await input.waitFor({ state: 'attached' });
  await input.setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(content) });
}

const SUBJECTS = ['profit', 'sales', 'output', 'margin', 'orders', 'cash'];

/** Pairs whose chosen answer is always the same word, so that two rounds learn it. */
function toyPairs(owner: string): string {
  const rows = SUBJECTS.map((subject) => ({
    prompt: `${owner} says that ${subject} rises. Sentiment:`,
    chosen: 'positive',
    rejected: 'negative',
  }));
  return rows.map((row) => JSON.stringify(row)).join('\n');
}

describe('preference pairs', () => {
  it('two tabs learn which answer is preferred, and show rewards', async () => {
    const numbers = { 'Pairs a step': 2, 'Tokens an example': 48, Beta: 0.5 };
    const link = await newRun('Preferences', numbers, { Task: 'dpo' });
    const tabs = await Promise.all([newTab(browser), newTab(browser)]);
    for (const [i, { page }] of tabs.entries()) {
      await page.goto(link);
      await choose(page, 'pairs.jsonl', toyPairs(`Owner ${i}`));
      const first = page.getByTestId('first-rows').locator('tbody tr').first().locator('td');
      await first
        .nth(0)
        .filter({ hasText: `Owner ${i} says that profit rises` })
        .waitFor();
      expect(await first.nth(1).textContent()).toBe('positive');
      expect(await first.nth(2).textContent()).toBe('negative');
      expect(await page.getByTestId('disclosure').textContent()).toContain('reward accuracy and margin');
    }
    await shoot(tabs[0].page, 'join-pairs');
    expect.soft(await audit(tabs[0].page)).toEqual([]);
    for (const { page } of tabs) await page.getByTestId('join-button').click();
    await tabs[0].page.getByTestId('reward-margin').filter({ hasText: /[+−]/ }).waitFor({ timeout: 120_000 });
    await Promise.all(tabs.map(({ page }) => untilPhase(page, ['finished'])));
    const hashes = await Promise.all(tabs.map(({ page }) => page.getByTestId('adapter-sha256').textContent()));
    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(hashes[1]).toBe(hashes[0]);

    await admin.locator('[data-testid=run-page][data-phase=finished][data-rounds="2"]').waitFor();
    const headings = await admin.getByTestId('rounds-table').locator('th').allTextContents();
    expect(headings.join()).not.toContain('Held-out'); // nothing is shown of what the run lacks
    // Rewards are measured against the base model, from which the second round has moved towards what was chosen.
    const marginColumn = headings.indexOf('Training margin');
    const margins = admin.getByTestId('round-row').locator(`td:nth-child(${marginColumn + 1})`);
    const [, second] = await margins.allTextContents();
    expect(second).toMatch(/^\+0\.\d+|^\+[1-9]/);
    const accuracies = await admin.getByTestId('participant-reward-accuracy').allTextContents();
    expect(accuracies).toHaveLength(2);
    for (const accuracy of accuracies) expect(accuracy).toMatch(/%$/);
    await admin.getByRole('img', { name: /Reward margin/ }).waitFor();
    await shoot(admin, 'admin-pairs');
    expect.soft(await audit(admin)).toEqual([]);
    expect(tabs.flatMap(({ wrong }) => wrong)).toEqual([]);
    for (const { context } of tabs) await context.close();

    // The next run can go on from there, and measure against it.
    const sent: string[] = [];
    admin.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(String(payload))));
    await newRun(
      'Preferences again',
      {},
      { Task: 'dpo', 'First adapter': hashes[0] ?? '', 'Rewards against': 'start' },
    );
    const created = sent.find((frame) => frame.includes('Preferences again'));
    expect(created).toContain(`"startAdapter":"${hashes[0]}"`);
    expect(created).toContain('"reference":"start"');
  });
});

describe('SCAFFOLD', () => {
  it('a reload between rounds keeps the control variate: the adapter has the bits of an undisturbed run', async () => {
    const numbers = { Rounds: 3, 'Steps a round': 1, 'Examples a step': 2, 'Tokens an example': 48, Seed: 7 };
    const adapters: (string | null)[] = [];
    for (const disturbed of [false, true]) {
      const link = await newRun(disturbed ? 'Reloaded' : 'Undisturbed', numbers, { Algorithm: 'scaffold' });
      const first = await newTab(browser);
      await first.page.goto(`${link}?auto=1&demo=1`);
      // The seeds depend on the order of joining.
      await untilPhase(first.page, ['waiting']);
      const second = await newTab(browser);
      await second.page.goto(`${link}?auto=1&demo=2`);
      if (disturbed) {
        await first.page.locator('[data-testid=round-row][data-phase=published]').first().waitFor({ timeout: 120_000 });
        first.page.on('dialog', (dialog) => void dialog.accept());
        await first.page.reload();
      }
      await Promise.all([first, second].map(({ page }) => untilPhase(page, ['finished'])));
      expect(await first.page.getByTestId('receipt').textContent()).toContain('3 of 3');
      adapters.push(await first.page.getByTestId('adapter-sha256').textContent());
      expect(await second.page.getByTestId('adapter-sha256').textContent()).toBe(adapters.at(-1));
      for (const { context } of [first, second]) await context.close();
    }
    expect(adapters[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(adapters[1]).toBe(adapters[0]);
  });
});

describe('a file with names of its own', () => {
  const csv = (subject: string) =>
    [
      'Schlagzeile;Nr;Stimmung',
      ...SUBJECTS.map((name, i) => `${subject} ${name};${i};${i % 2 ? 'gut' : 'schlecht'}`),
    ].join('\n');

  it('is read as the owner says, and again so without asking', async () => {
    const link = await newRun('Columns', {}, {});
    const { page, context, wrong } = await newTab(browser);
    await page.goto(link);
    await choose(page, 'seltsam.csv', csv('Es steigt'));
    await page.getByTestId('column-picker').waitFor();
    expect(await page.getByTestId('data-problem').textContent()).toContain('No row of seltsam.csv can be used');
    expect(await page.getByTestId('column-picker').textContent()).toContain('Es steigt profit');
    expect(await page.getByTestId('use-columns').isDisabled()).toBe(true);
    expect(await page.getByTestId('join-button').isDisabled()).toBe(true);
    await page.getByRole('combobox', { name: 'Prompt' }).selectOption('Schlagzeile');
    await page.getByRole('combobox', { name: 'Answer to learn' }).selectOption('Stimmung');
    await shoot(page, 'join-columns');
    expect.soft(await audit(page)).toEqual([]);
    await page.getByTestId('use-columns').click();
    await page.locator('[data-testid=data-preview][data-examples="6"]').waitFor();
    expect(await page.getByTestId('first-rows').textContent()).toContain('schlecht');
    expect(await page.getByTestId('answer-balance').textContent()).toContain('3 · 50.0 %');
    expect(await page.getByTestId('data-problem').count()).toBe(0);
    expect(await page.getByTestId('join-button').isEnabled()).toBe(true);

    // The choice belongs to this file: it is taken again without a question, and that of another file is asked.
    await page.reload();
    await choose(page, 'seltsam.csv', csv('Es steigt'));
    await page.locator('[data-testid=data-preview][data-examples="6"]').waitFor();
    expect(await page.getByTestId('data-preview').textContent()).toContain('“Schlagzeile”, “Stimmung”');
    expect(await page.getByTestId('column-picker').count()).toBe(0);
    await choose(page, 'seltsam.csv', csv('Es faellt'));
    await page.getByTestId('column-picker').waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });
});
