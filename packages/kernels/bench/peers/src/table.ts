import type { MatmulReport, Ratio, Report, StepReport } from './report.ts';

/** The report as Markdown. */
export function formatReport({ environment, matmuls, step }: Report): string {
  const { adapter, browser, versions, repeats } = environment;
  const peers = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Adapter: ${adapter}. Browser: ${browser}. ${peers.join(', ')}. Medians of ${repeats} interleaved rounds.`,
    ...matmuls.map(formatMatmul),
    ...(step ? [formatStep(step)] : []),
  ].join('\n\n');
}

export function formatMatmul({ shape, direction, entries, excluded, ratios }: MatmulReport): string {
  const { rows, inputs, outputs } = shape;
  const title = `### ${direction === 'forward' ? 'Y = X·Wᵀ' : 'dX = dY·W'}, ${rows}×${inputs}×${outputs} (tokens × inputs × outputs)`;
  const table = formatTable(
    ['library', 'how', 'arithmetic', 'GFLOP/s', 'ms', 'spread', 'CPU ms', 'error'],
    entries.map(({ library, method, arithmetic, gflops, error, timing }) => [
      library,
      method,
      arithmetic,
      significant(gflops),
      significant(timing.medianMs),
      `${(100 * timing.spread).toFixed(0)} %`,
      timing.cpuMedianMs === null ? '–' : significant(timing.cpuMedianMs),
      error.toExponential(1),
    ]),
  );
  const left = excluded.map(({ library, method, why }) => `Not timed: ${library} ${method}: ${why}`);
  return [title, table, ...left, ...ratios.map(formatRatio)].join('\n\n');
}

function formatStep({ what, tokens, entries, excluded, ratios }: StepReport): string {
  const table = formatTable(
    ['library', 's/step', 'tokens/s', 'spread', 'CPU s', 'losses of the first steps (nats)'],
    entries.map(({ library, lossesNats, timing }) => [
      library,
      significant(timing.medianMs / 1000),
      significant((1000 * tokens) / timing.medianMs),
      `${(100 * timing.spread).toFixed(0)} %`,
      timing.cpuMedianMs === null ? '–' : significant(timing.cpuMedianMs / 1000),
      lossesNats.map((loss) => loss.toFixed(6)).join(', '),
    ]),
  );
  const left = excluded.map(({ library, why }) => `Not timed: ${library}: ${why}`);
  return [`### ${what}`, table, ...left, ...ratios.map(formatRatio)].join('\n\n');
}

function formatRatio({ ours, theirs, speedup, cpuSpeedup, goal }: Ratio): string {
  const cpu = cpuSpeedup === null ? '' : `, ${cpuSpeedup.toFixed(2)} × in CPU time`;
  const verdict = goal === null ? '' : `; goal ${goal} ×: ${speedup >= goal ? 'met' : 'missed'}`;
  return `${ours}: **${speedup.toFixed(2)} ×** ${theirs}${cpu}${verdict}.`;
}

function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Three significant digits, without an exponent. */
function significant(value: number): string {
  return String(Number(value.toPrecision(3)));
}
