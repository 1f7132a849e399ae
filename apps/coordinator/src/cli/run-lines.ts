import type { AdminEvent, HeldOutMetrics, RunView } from '@cotune/fl-core/protocol';

/** Turns the admin event stream into a line whenever a run's phase changes, its base is evaluated or a round is published. */
export function runLines(write: (line: string) => void): (event: AdminEvent) => void {
  const shown = new Map<string, { phase: string; baseline: boolean; published: number }>();
  return (event) => {
    if (event.type === 'log') write(event.message);
    if (event.type !== 'run') return;
    const { run } = event;
    const before = shown.get(run.runId) ?? { phase: '', baseline: false, published: 0 };
    const published = run.rounds.filter((round) => round.phase === 'published');
    if (run.baseline && !before.baseline) write(`${title(run)}: before tuning, ${formatMetrics(run.baseline)}`);
    for (const round of published.slice(before.published)) {
      const result = round.evaluation ? formatMetrics(round.evaluation) : 'not evaluated';
      const note = round.note ? ` (${round.note})` : '';
      write(
        `${title(run)}: round ${round.round + 1}/${run.config.rounds}, ${round.received.length} updates, ${result}${note}`,
      );
    }
    if (run.phase !== before.phase) write(`${title(run)}: ${run.phase}${run.reason ? ` (${run.reason})` : ''}`);
    shown.set(run.runId, { phase: run.phase, baseline: run.baseline !== null, published: published.length });
  };
}

export function formatMetrics({ lossNats, accuracy, rewards, classes }: HeldOutMetrics): string {
  const loss = `held-out loss ${lossNats.toFixed(3)}`;
  if (rewards) return `${loss}, reward accuracy ${percent(rewards.accuracy)}, margin ${rewards.margin.toFixed(3)}`;
  const of = classes
    ? `, of ${classes.count} classes ${percent(classes.accuracy)}, F1 ${classes.f1Macro.toFixed(3)}`
    : '';
  return `${loss}, accuracy ${percent(accuracy)}${of}`;
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

function title(run: RunView): string {
  return `"${run.config.name}"`;
}
