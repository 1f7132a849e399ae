import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cellsOf } from '../simulation/cells.ts';
import { experimentConfig } from '../simulation/config.ts';
import { curvesCsv, tableCsv } from './csv.ts';
import { DEFAULTS, NOTE, newDirectory, type Told, writeExperiment } from './experiment.test-support.ts';
import { fairnessOf } from './fairness.ts';
import { reportHtml } from './html.ts';
import { reportJson } from './json.ts';
import { readExperiment } from './read-experiment.ts';
import { type Section, sectionOf } from './section.ts';
import { sectionMarkdown, sectionText } from './text-table.ts';

const section = async (...given: Parameters<typeof writeExperiment>): Promise<Section> =>
  sectionOf(await readExperiment(await writeExperiment(...given)));

// Losses of the local mean: 2 and 3. FedAvg differs from it by −1.0 and −1.2, FedProx by +0.5 and −0.5.
const LOCAL: Record<string, Told> = {
  'local-seed1-client0': { loss: 1.5, accuracy: 0.5 },
  'local-seed1-client1': { loss: 2.5, accuracy: 0.3 },
  'local-seed2-client0': { loss: 2, accuracy: 0.6 },
  'local-seed2-client1': { loss: 4, accuracy: 0.2 },
};
const BOTH = { algorithms: [{ id: 'fedavg' as const }, { id: 'fedprox' as const, hyper: { mu: 0.5 } }] };
const DONE: Record<string, Told> = {
  ...LOCAL,
  'fedavg-seed1': { loss: 1, accuracy: 0.8 },
  'fedavg-seed2': { loss: 1.8, accuracy: 0.9 },
  'fedprox-seed1': { loss: 2.5, accuracy: 0.8 },
  'fedprox-seed2': { loss: 2.5, accuracy: 0.9 },
};

describe('the table', () => {
  it('has mean and sample standard deviation over seeds, and the clients’ mean, worst and best of a seed', async () => {
    const { rows } = await section(BOTH, DONE);
    const loss = Object.fromEntries(rows.map(({ id, metrics }) => [id, metrics.loss]));
    expect(loss).toEqual({
      untuned: { n: 2, mean: 4, stdDev: 0 },
      fedavg: { n: 2, mean: 1.4, stdDev: expect.closeTo(0.4 * Math.SQRT2, 12) },
      fedprox: { n: 2, mean: 2.5, stdDev: 0 },
      local: { n: 2, mean: 2.5, stdDev: expect.closeTo(Math.SQRT1_2, 12) },
      'local-worst': { n: 2, mean: 3.25, stdDev: expect.closeTo(0.75 * Math.SQRT2, 12) },
      'local-best': { n: 2, mean: 1.75, stdDev: expect.closeTo(0.25 * Math.SQRT2, 12) },
    });
    const worst = rows.find(({ id }) => id === 'local-worst');
    expect(worst?.metrics.accuracy?.mean).toBeCloseTo(0.25, 12); // the lower share is the worse one
  });

  it('marks the best of a column, ties alike, and sums the bytes of all rounds', async () => {
    const { rows } = await section(BOTH, DONE);
    const [fedavg, fedprox] = ['fedavg', 'fedprox'].map((id) => rows.find((row) => row.id === id));
    expect(fedavg?.best).toEqual(['loss', 'accuracy']);
    expect(fedprox?.best).toEqual(['accuracy']);
    expect(fedprox?.hyper).toBe('mu 0.5');
    expect([fedavg?.bytesUp?.mean, fedavg?.bytesDown?.mean]).toEqual([40, 80]);
    expect(fedavg?.seconds?.mean).toBe(45);
    expect(rows.find(({ id }) => id === 'local')?.bytesUp).toBeNull();
  });

  it('shows what is unfinished, and does not let it win', async () => {
    const told = { ...DONE, 'fedavg-seed2': { rounds: 1 } };
    delete (told as Record<string, Told>)['fedprox-seed2'];
    const found = await section(BOTH, told);
    expect(found.unfinished).toEqual(['fedavg-seed2 (1 of 2 rounds)']);
    expect(found.notBegun).toEqual(['fedprox-seed2']);
    const row = found.rows.find(({ id }) => id === 'fedavg');
    expect(row?.seeds).toEqual({ done: 1, all: 2 });
    expect(row?.best).toEqual([]);
    const text = sectionText(found);
    expect(text).toContain('1 of 2, unfinished');
    expect(text).toContain('6 of 8 cells are done');
    expect(text).toContain('Not begun: fedprox-seed2.');
    expect(sectionText(await section(BOTH, {}))).toContain(
      'local-seed1-client1, fedavg-seed2, fedprox-seed2, local-seed2-client0, local-seed2-client1.',
    );
    const html = reportHtml([found]);
    expect(html).toContain('Unfinished: fedavg-seed2 (1 of 2 rounds).');
  });

  it('names the first of many cells that are not begun', async () => {
    const text = sectionText(await section({ ...BOTH, seeds: [1, 2, 3] }, {}));
    expect(text).toContain('Not begun: fedavg-seed1, fedprox-seed1, local-seed1-client0');
    expect(text).toContain('fedprox-seed2 and 6 more.');
  });

  it('leaves a seed out of the local mean until all its clients are done', async () => {
    const { 'local-seed2-client1': _, ...rest } = DONE;
    const { rows } = await section(BOTH, rest);
    expect(rows.find(({ id }) => id === 'local')?.metrics.loss).toEqual({ n: 1, mean: 2, stdDev: null });
  });

  it('says of how many seeds a figure is, and lets none win that lacks one', async () => {
    const found = await section(BOTH, {
      ...DONE,
      'fedavg-seed2': { unmeasured: true },
      'local-seed2-client1': { unmeasured: true },
    });
    const [fedavg, fedprox, local] = ['fedavg', 'fedprox', 'local'].map((id) =>
      found.rows.find((row) => row.id === id),
    );
    expect(fedavg?.metrics.loss).toEqual({ n: 1, mean: 1, stdDev: null });
    expect(local?.metrics.loss).toEqual({ n: 1, mean: 2, stdDev: null });
    expect([fedavg, fedprox, local].map((row) => row?.best)).toEqual([[], [], []]);
    const text = sectionText(found);
    expect(text).toMatch(/^FedAvg .* 1\.0000 \(n 1\)/m);
    expect(text).toContain('(n …): so many of the seeds have a figure');
    expect(sectionText(await section(BOTH, DONE))).not.toContain('(n ');
  });

  it('names who diverged and why, and lends them neither figures nor a mark', async () => {
    const found = await section(BOTH, {
      ...DONE,
      'fedavg-seed1': { loss: 0.5, accuracy: 0.9, kept: 2, steps: [0, 0] },
      'fedavg-seed2': { loss: 0.5, accuracy: 0.9, kept: 2, steps: [0, 0] },
      'fedprox-seed1': { loss: 0.6, accuracy: 0.9, kept: 1, steps: [5, 5] },
      'local-seed2-client1': { loss: 0.5, accuracy: 0.9, kept: 2, steps: [0, 0] },
    });
    const [fedavg, fedprox, local] = ['fedavg', 'fedprox', 'local'].map((id) =>
      found.rows.find((row) => row.id === id),
    );
    expect([fedavg, fedprox, local].map((row) => [row?.diverged, row?.metrics.loss?.n, row?.best])).toEqual([
      [2, undefined, []],
      [0, 2, []], // the only one with all its figures: there is nobody to be better than
      [1, 1, []],
    ]);
    const text = sectionText(found);
    expect(text).toMatch(/^FedAvg .* 2, 2 diverged/m);
    expect(text).toContain(`fedavg-seed1 diverged: 2 of 2 rounds kept the model, and none changed it. ${NOTE}`);
    expect(text).toContain(`fedprox-seed1: 1 of 2 rounds kept the model. ${NOTE}`);
    expect(text).toContain('FedAvg diverged in all 2 seeds of which it is done.');
    expect(text).not.toContain('Never drawn');
    expect(reportHtml([found])).toContain('fedavg-seed2 diverged: ');
    expect(reportJson([found])).toMatchObject({
      experiments: [
        { kept_rounds: expect.arrayContaining([expect.objectContaining({ cell: 'fedavg-seed1', diverged: true })]) },
      ],
    });
    expect(fairnessOf(found.experiment, found.metrics)?.clients[1]?.metrics.loss?.n).toBe(1);
  });

  it('says so where the metrics of a cell that is done are missing, and leaves its seed out of the bytes', async () => {
    const directory = await writeExperiment(BOTH, DONE);
    await writeFile(join(directory, 'fedavg-seed1', 'metrics.jsonl'), '');
    const found = sectionOf(await readExperiment(directory));
    expect(found.rows.find(({ id }) => id === 'fedavg')?.bytesUp).toEqual({ n: 1, mean: 40, stdDev: null });
    expect(sectionText(found)).toContain('Rounds are missing in metrics.jsonl of fedavg-seed1 (0 of 3)');
    expect(sectionText(await section(BOTH, DONE))).not.toContain('metrics.jsonl');
  });

  it('refuses a cell of another experiment, done or under way, by its name', async () => {
    const directory = await writeExperiment(BOTH, DONE);
    const path = join(directory, 'fedavg-seed1', 'result.json');
    const result = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...result, experiment_sha256: 'f'.repeat(64) }));
    await expect(readExperiment(directory)).rejects.toThrow(`${path} is of another experiment`);

    const begun = await writeExperiment(BOTH, { ...DONE, 'fedavg-seed1': { rounds: 1 } });
    const state = join(begun, 'fedavg-seed1', 'state');
    await mkdir(state);
    await writeFile(join(state, 'experiment.sha256'), 'f'.repeat(64));
    await expect(readExperiment(begun)).rejects.toThrow(`${state} is of another experiment`);
  });

  describe('steps', () => {
    const FEW = { baselines: ['local', 'local-every-round', 'pooled'] as const, perRound: 1, seeds: [1] };
    const cells = cellsOf(experimentConfig.parse({ ...DEFAULTS, ...FEW }), null);
    const planned = cells.filter(({ kind }) => kind === 'local').map(({ totalSteps }) => totalSteps);
    const [steps, all] = [cells[0]?.run.steps ?? 0, 2 * (cells[0]?.run.steps ?? 0)];
    const told = (alone: readonly number[]): Record<string, Told> => ({
      'fedavg-seed1': { loss: 1, accuracy: 0.5, steps: planned },
      'local-seed1-client0': { loss: 2, accuracy: 0.4, steps: [alone[0] ?? 0, 0] },
      'local-seed1-client1': { loss: 3, accuracy: 0.4, steps: [0, alone[1] ?? 0] },
      'local-every-round-seed1-client0': { loss: 0.5, accuracy: 0.9, steps: [all, 0] },
      'local-every-round-seed1-client1': { loss: 0.7, accuracy: 0.9, steps: [0, all] },
      'pooled-seed1': { loss: 0.1, accuracy: 1, steps: [all] },
    });

    it('of each row are those of a client; what took more neither competes nor is compared', async () => {
      const found = await section({ ...FEW, baselines: [...FEW.baselines] }, told(planned));
      expect(found.rows.map(({ id, clientSteps }) => [id, clientSteps?.mean])).toEqual([
        ['untuned', undefined],
        ['fedavg', steps],
        ['local', steps],
        ['local-worst', steps],
        ['local-best', steps],
        ['local-every-round', all],
        ['pooled', all],
      ]);
      expect(found.rows.flatMap(({ id, best }) => (best.length > 0 ? [id] : []))).toEqual(['fedavg']);
      expect(found.comparisons[0]?.comparisons[0]?.difference.mean).toBe(1 - 2.5);
      const text = sectionText(found);
      expect(text).toMatch(/^trained .* steps a client +up/m);
      expect(text).toContain('it trains in exactly the rounds for which its seed draws it');
      expect(text).toContain(
        '1 of 2 clients are drawn for a round, so that a client of a federation takes on average 1/2',
      );
      expect(text).not.toMatch(/Never drawn|Took more/);
      expect(tableCsv([found])).toContain(
        `,local-every-round,local-every-round,"local in every round, mean of clients",,client_steps,1,${all},,0`,
      );
    });

    it('names clients that were never drawn, and results of an earlier version', async () => {
      const earlier = sectionText(await section({ ...FEW, baselines: ['local'] }, told([0, all])));
      expect(earlier).toContain('Never drawn, and so as untuned as it began: local-seed1-client0.');
      expect(earlier).toContain('by an earlier version: local-seed1-client1.');
    });

    it('compares with clients alone in every round where there are no others', async () => {
      const found = await section({ ...FEW, baselines: ['local-every-round'] }, told(planned));
      expect(found.comparisons[0]?.comparisons[0]?.difference.mean).toBeCloseTo(1 - 0.6, 12);
      expect(found.comparisons[0]?.comparisons[0]?.clientsBetterOff).toBe(0);
      expect(fairnessOf(found.experiment, found.metrics)?.clients.map(({ metrics }) => metrics.loss?.mean)).toEqual([
        0.5, 0.7,
      ]);
      expect(sectionText(found)).toContain('local in every round, worst client');
      expect(sectionText(await section(BOTH, DONE))).not.toContain('are drawn for a round');
    });
  });

  it('has a row for what has nothing yet', async () => {
    const found = await section(BOTH, { 'fedavg-seed1': { rounds: 1 } });
    expect(found.rows.map(({ id }) => id)).toContain('fedprox');
    expect(sectionText(found)).toMatch(/FedProx +mu 0\.5 +0 of 2, unfinished +–/);
    expect(sectionText(found)).toContain('FedAvg: cannot be told yet');
    expect(found.charts[0]?.curves).toMatchObject([{ id: 'fedavg', done: false }]);
  });
});

describe('federated against local', () => {
  it('pairs seeds and says so in words', async () => {
    const { comparisons } = await section(BOTH, DONE);
    const [fedavg, fedprox] = comparisons.map(({ comparisons }) =>
      comparisons.find(({ metric }) => metric.id === 'loss'),
    );
    expect(fedavg?.bySeed.map(({ difference }) => difference)).toEqual([-1, expect.closeTo(-1.2, 12)]);
    // −1.1 ± 12.7062·(0.2/√2)/√2 = −1.1 ± 1.27062: two seeds leave it open
    expect(fedavg?.difference.interval?.low).toBeCloseTo(-2.37062, 4);
    expect(fedavg?.difference.interval?.high).toBeCloseTo(0.17062, 4);
    expect(fedavg?.verdict).toBe('cannot-be-told');
    expect(fedprox?.verdict).toBe('cannot-be-told');
    expect(fedavg?.clientsBetterOff).toBe(1);
    expect(fedprox?.clientsBetterOff).toBe(0.25); // of the first seed none (2.5 is no worse than 2.5), of the second one of two
  });

  it('tells what beats it and what does not', async () => {
    const { comparisons } = await section(BOTH, {
      ...DONE,
      'fedavg-seed2': { loss: 2.01, accuracy: 0.2 },
      'fedprox-seed1': { loss: 2.3, accuracy: 0.8 },
      'fedprox-seed2': { loss: 3.31, accuracy: 0.8 },
    });
    // loss: −1, −0.99 and +0.3, +0.31, half an interval is 12.7062·0.005 = 0.0635; accuracy: +0.4, −0.2 and +0.4, +0.4
    expect(comparisons.map(({ sentence }) => sentence)).toEqual([
      'FedAvg beats the local mean in loss (−0.9950, −1.0585 to −0.9315); it cannot be told from the local mean in exact answers (+0.1000, −3.7119 to +3.9119) (2 seeds).',
      'FedProx (mu 0.5) beats the local mean in exact answers (+0.4000, +0.4000 to +0.4000); it does not beat the local mean in loss (+0.3050, +0.2415 to +0.3685) (2 seeds).',
    ]);
  });

  it('concludes nothing from one seed', async () => {
    const one = await section({ seeds: [1] }, DONE);
    expect(one.comparisons[0]?.sentence).toBe(
      'FedAvg: with one seed it cannot be told whether it beats the local mean; in this seed it is better in loss (−1.0000), exact answers (+0.4000).',
    );
  });

  it('says that nothing can be said without a local baseline', async () => {
    expect(sectionText(await section({ baselines: ['pooled'] }, DONE))).toContain('No local baseline');
  });
});

it('tells how far clients alone are apart', async () => {
  const { experiment, metrics } = await section(BOTH, DONE);
  const fairness = fairnessOf(experiment, metrics);
  expect(fairness?.clients.map(({ rows, metrics }) => [rows, metrics.loss?.mean])).toEqual([
    [10, 1.75],
    [20, 3.25],
  ]);
  const [loss] = fairness?.apart ?? [];
  expect(loss?.range).toBe(1.5); // 1 and 2
  expect(loss?.stdDev).toBeCloseTo(1.5 * Math.SQRT1_2, 12);
});

it('draws curves over completed rounds with the spread of seeds, and what the baselines end with', async () => {
  const { charts } = await section(BOTH, DONE);
  const [loss] = charts;
  expect(loss?.curves[0]?.points.map(({ rounds, mean, n }) => [rounds, mean, n])).toEqual([
    [0, 4, 2],
    [1, 2.4, 2],
    [2, 1.4, 2],
  ]);
  expect(loss?.references).toEqual([{ kind: 'local-mean', title: 'local, mean of clients', value: 2.5 }]);
});

describe('the page', () => {
  it('needs nothing from elsewhere, escapes what others wrote, and describes tables and charts', async () => {
    const name = '<script>alert("1")</script> & Co';
    const sections = [await section({ ...BOTH, name, description: '<img src=x>' }, DONE), await section(BOTH, DONE)];
    const html = reportHtml(sections);
    expect(html).not.toMatch(/<script|<img|<link|@import|url\(|https?:/);
    expect(html).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; Co');
    const count = (pattern: RegExp) => html.match(pattern)?.length ?? 0;
    expect(count(/<table>/g)).toBeGreaterThanOrEqual(8);
    expect(count(/<table><caption>/g)).toBe(count(/<table>/g));
    expect(count(/<svg viewBox="0 0 720 360" role="img"/g)).toBe(4); // loss and accuracy, twice
    expect(count(/<title id=/g)).toBe(4);
    expect(count(/<desc id=/g)).toBe(4);
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, referred] of html.matchAll(/aria-labelledby="([^"]+)"/g))
      for (const id of referred?.split(' ') ?? []) expect(ids).toContain(id);
    expect(html).not.toContain('NaN');
    expect(html).toContain('adapter of fedavg-seed1');
    expect(html).toContain('cotune simulate experiment.json --out results');
  });

  it('can be made of an experiment in which nothing was evaluated', async () => {
    const found = await section(BOTH, {});
    expect(reportHtml([found])).toContain('Nothing was evaluated.');
    expect(found.rows.every(({ metrics }) => Object.keys(metrics).length === 0)).toBe(true);
  });
});

describe('other forms', () => {
  it('writes CSV with quotes where they are needed', async () => {
    const found = await section({ ...BOTH, name: 'a, "b"' }, DONE);
    const [head, ...lines] = tableCsv([found]).trimEnd().split('\r\n');
    expect(head).toBe('experiment,directory,row,kind,title,settings,figure,n,mean,std_dev,best');
    const line = lines.find((text) => text.includes(',fedprox,federated,FedProx,mu 0.5,loss,'));
    expect(line).toBe(`"a, ""b""",${found.experiment.directory},fedprox,federated,FedProx,mu 0.5,loss,2,2.5,0,0`);
    const curves = curvesCsv([found]).trimEnd().split('\r\n');
    expect(curves).toHaveLength(1 + 2 * 2 * 3); // algorithms, figures, rounds
    expect(curves[3]).toMatch(/,fedavg,FedAvg,loss,2,2,1\.4,0\.56568542/);
  });

  it('writes Markdown with the best in bold', async () => {
    const text = sectionMarkdown(await section(BOTH, DONE));
    expect(text).toContain('| FedAvg |  | 2 | **1.4000 ± 0.5657** | **0.8500 ± 0.0707** | 40 B | 80 B | 45 s |');
  });

  it('gives one plain object', async () => {
    const found = await section(BOTH, DONE);
    const value = JSON.parse(JSON.stringify(reportJson([found])));
    expect(value.experiments[0].against_local[1].metrics[0]).toMatchObject({
      metric: 'loss',
      mean: 0,
      verdict: 'cannot-be-told',
    });
    expect(value.experiments[0].cells[0]).toEqual({ cell: 'fedavg-seed1', adapter_sha256: 'adapter of fedavg-seed1' });
  });
});

describe('directories that cannot be read', () => {
  it('says what is missing, and where it may be', async () => {
    const directory = await writeExperiment(BOTH, DONE);
    await expect(readExperiment(join(directory, 'nowhere'))).rejects.toThrow(`no such directory: ${directory}/nowhere`);
    const empty = await newDirectory();
    await expect(readExperiment(empty)).rejects.toThrow(`${empty} has no experiment.json, expected a directory that`);
    await expect(readExperiment(dirname(directory))).rejects.toThrow(/; did you mean .*test-/);
  });

  it('names the file and the line that is broken', async () => {
    const directory = await writeExperiment(BOTH, DONE);
    const metrics = join(directory, 'fedavg-seed1', 'metrics.jsonl');
    await writeFile(metrics, '{"round": "two"}\n');
    await expect(readExperiment(directory)).rejects.toThrow(`${metrics}, line 1 is not what this version`);
    await writeFile(metrics, '\n{"round":');
    await expect(readExperiment(directory)).rejects.toThrow(`${metrics}, line 2 is not JSON`);
    await writeFile(join(directory, 'experiment.json'), '{}');
    await expect(readExperiment(directory)).rejects.toThrow('config: ');
  });
});
