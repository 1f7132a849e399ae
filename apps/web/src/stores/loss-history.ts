import type { Rewards } from '@cotune/fl-core/protocol';

/** One optimiser step of this tab. `index` counts over all rounds. */
export interface LossPoint {
  readonly index: number;
  readonly round: number;
  readonly lossNats: number;
  /** Of a step on preference pairs. */
  readonly rewards?: Rewards | null;
}

/**
 * Training losses, kept outside React: points arrive several times a second and go straight to the chart.
 * Listeners are called at most once per animation frame.
 */
export function createLossHistory(schedule: (run: () => void) => void) {
  const points: LossPoint[] = [];
  const listeners = new Set<() => void>();
  let pending = false;
  const notify = () => {
    if (pending) return;
    pending = true;
    schedule(() => {
      pending = false;
      for (const listener of listeners) listener();
    });
  };
  return {
    points: points as readonly LossPoint[],
    push(point: LossPoint) {
      // A round trained again after a reload replaces its earlier points.
      while (points.length > 0 && (points.at(-1)?.index ?? -1) >= point.index) points.pop();
      points.push(point);
      notify();
    },
    clear() {
      points.length = 0;
      notify();
    },
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    /** [steps counted from 1, losses, exponentially smoothed losses] for the chart. */
    columns(smoothing: number): [number[], number[], number[]] {
      const losses = points.map(({ lossNats }) => lossNats);
      return [points.map(({ index }) => index + 1), losses, smoothed(losses, smoothing)];
    },
    /** [steps counted from 1, reward margins, smoothed margins, smoothed reward accuracies] of the steps on pairs. */
    rewardColumns(smoothing: number): [number[], number[], number[], number[]] {
      const ofPairs = points.flatMap(({ index, rewards }) => (rewards ? [{ index, ...rewards }] : []));
      const margins = ofPairs.map(({ margin }) => margin);
      const accuracies = ofPairs.map(({ accuracy }) => accuracy);
      const steps = ofPairs.map(({ index }) => index + 1);
      return [steps, margins, smoothed(margins, smoothing), smoothed(accuracies, smoothing)];
    },
  };
}

/** Exponential means, bias-corrected so that the first values are not pulled to zero. */
function smoothed(values: readonly number[], smoothing: number): number[] {
  let mean = 0;
  let weight = 0;
  return values.map((value) => {
    mean = smoothing * mean + (1 - smoothing) * value;
    weight = smoothing * weight + (1 - smoothing);
    return mean / weight;
  });
}

export type LossHistory = ReturnType<typeof createLossHistory>;
export const lossHistory: LossHistory = createLossHistory((run) => requestAnimationFrame(run));
