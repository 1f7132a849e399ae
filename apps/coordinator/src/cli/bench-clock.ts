import { availableParallelism } from 'node:os';
import type { Gpu } from '@cotune/kernels';
import type { BenchClock } from '@cotune/kernels/bench';

/** This process's clocks. Software adapters compute inside it, so that its processor time is theirs. */
export function benchClock(gpu: Gpu): BenchClock {
  return {
    wallMs: () => performance.now(),
    processorMs:
      gpu.adapter.kind === 'hardware'
        ? null
        : () => {
            const { user, system } = process.cpuUsage();
            return (user + system) / 1000;
          },
    processors: availableParallelism(),
  };
}

/** A sentence when others used the processors meanwhile, else nothing. */
export function loadWarning(clock: 'wall' | 'processor', processorShare: number): string[] {
  if (clock === 'wall') return [];
  return [
    `warning: this process got ${(100 * processorShare).toFixed(0)} % of the processors, so the figures are by processor time ` +
      'over all of them, not by the wall clock: measure again on an idle machine',
  ];
}

/** Lines of equal columns: the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)];
}
