/** One optimiser step of this tab. `index` counts over all rounds. */
export interface LossPoint {
  readonly index: number;
  readonly round: number;
  readonly lossNats: number;
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
      const steps: number[] = [];
      const losses: number[] = [];
      const smooth: number[] = [];
      let mean = 0;
      let weight = 0;
      for (const { index, lossNats } of points) {
        // Bias-corrected, so that the first points are not pulled to zero.
        mean = smoothing * mean + (1 - smoothing) * lossNats;
        weight = smoothing * weight + (1 - smoothing);
        steps.push(index + 1);
        losses.push(lossNats);
        smooth.push(mean / weight);
      }
      return [steps, losses, smooth];
    },
  };
}

export type LossHistory = ReturnType<typeof createLossHistory>;
export const lossHistory: LossHistory = createLossHistory((run) => requestAnimationFrame(run));
