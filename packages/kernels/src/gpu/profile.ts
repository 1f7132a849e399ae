import type { Gpu } from './device.ts';
import { GpuError } from './error.ts';
import { createCounted } from './memory.ts';
import { planSubmits, type Ready, type ReadyDispatch } from './submits.ts';

/** Time of all dispatches of one kernel in one run of a program. */
export interface KernelTime {
  readonly kernel: string;
  readonly dispatches: number;
  readonly ms: number;
  /** As the ops stated them; 0 for those counted by bytes. */
  readonly flops: number;
}

export interface ProfileOptions {
  /**
   * Milliseconds of whatever time should count, for adapters that run inside this process: the processor time over the
   * cores it ran on says more than the wall clock of a busy machine. Turns timestamp queries off.
   */
  readonly nowMs?: () => number;
  /** Every kernel is repeated until it took this long, and at least ten times where it is shorter than that. */
  readonly leastMs?: number;
}

/** Browsers round timestamps to 65.536 µs: what is timed should last at least some 30 of these. */
const LEAST_MS = 2;
const REPEATS_MAX = 100;
/** Of which the median counts. */
const MEASUREMENTS = 3;

/**
 * Runs the dispatches of each kernel by themselves, in the order of the program, and times them: with timestamp queries
 * where the device has them, else by when the queue reports them done. The sum is the GPU's busy time of one run, but for
 * copies. Kernels that add to their output add several times: what is in the buffers afterwards means nothing.
 */
export async function profileCommands(
  gpu: Gpu,
  commands: readonly Ready[],
  { nowMs, leastMs = LEAST_MS }: ProfileOptions = {},
): Promise<readonly KernelTime[]> {
  const groups = new Map<string, ReadyDispatch[]>();
  for (const command of commands) {
    if (command.kind !== 'dispatch') continue;
    const group = groups.get(command.name) ?? [];
    group.push(command);
    groups.set(command.name, group);
  }
  const stopwatch =
    nowMs === undefined && gpu.device.features.has('timestamp-query')
      ? timestampStopwatch(gpu)
      : queueStopwatch(gpu, nowMs ?? (() => performance.now()));
  const times: KernelTime[] = [];
  try {
    for (const [kernel, dispatches] of groups) {
      const once = await stopwatch.time(dispatches, 1);
      const repeats =
        once >= leastMs ? 1 : Math.min(REPEATS_MAX, Math.max(10, Math.ceil((2 * leastMs) / Math.max(once, 1e-3))));
      const measured: number[] = [];
      for (let i = 0; i < MEASUREMENTS; i++) measured.push((await stopwatch.time(dispatches, repeats)) / repeats);
      const ms = measured.sort((a, b) => a - b)[Math.floor(MEASUREMENTS / 2)] ?? once;
      const flops = dispatches.reduce((sum, { work }) => sum + work.flops, 0);
      times.push({ kernel, dispatches: dispatches.length, ms, flops });
    }
  } finally {
    stopwatch.destroy();
  }
  return times.sort((a, b) => b.ms - a.ms);
}

interface Stopwatch {
  /** Milliseconds of the dispatches, `repeats` times. */
  time(dispatches: readonly ReadyDispatch[], repeats: number): Promise<number>;
  destroy(): void;
}

/** Submits the dispatches in pieces as a run would, a pass each; `around` may time the pass. */
function submitPasses(
  gpu: Gpu,
  dispatches: readonly ReadyDispatch[],
  around: (pass: number) => GPUComputePassTimestampWrites | undefined,
): number {
  const { ends } = planSubmits(
    dispatches.map(({ work }) => work),
    gpu.pace,
  );
  let from = 0;
  ends.forEach((to, i) => {
    const encoder = gpu.device.createCommandEncoder();
    const timestampWrites = around(i);
    const pass = encoder.beginComputePass(timestampWrites ? { timestampWrites } : {});
    for (const { pipeline, group, grid } of dispatches.slice(from, to)) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    }
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    from = to;
  });
  return ends.length;
}

const repeated = (dispatches: readonly ReadyDispatch[], repeats: number): readonly ReadyDispatch[] =>
  repeats === 1 ? dispatches : Array.from({ length: repeats }, () => dispatches).flat();

function queueStopwatch(gpu: Gpu, nowMs: () => number): Stopwatch {
  return {
    async time(dispatches, repeats) {
      const all = repeated(dispatches, repeats);
      await gpu.idle();
      const startMs = nowMs();
      submitPasses(gpu, all, () => undefined);
      await gpu.idle();
      return nowMs() - startMs;
    },
    destroy() {},
  };
}

/** Passes that one query set can time. */
const TIMED_PASSES = 512;

function timestampStopwatch(gpu: Gpu): Stopwatch {
  const { device } = gpu;
  const bytes = TIMED_PASSES * 2 * 8;
  const querySet = device.createQuerySet({ label: 'profile', type: 'timestamp', count: TIMED_PASSES * 2 });
  const resolved = createCounted(device, { label: 'profile timestamps', size: bytes, usage: 0x200 | 0x4 }); // QUERY_RESOLVE | COPY_SRC
  return {
    async time(dispatches, repeats) {
      const passes = submitPasses(gpu, repeated(dispatches, repeats), (pass) =>
        pass < TIMED_PASSES
          ? { querySet, beginningOfPassWriteIndex: 2 * pass, endOfPassWriteIndex: 2 * pass + 1 }
          : undefined,
      );
      const timed = Math.min(passes, TIMED_PASSES);
      const encoder = device.createCommandEncoder();
      encoder.resolveQuerySet(querySet, 0, 2 * timed, resolved.buffer, 0);
      device.queue.submit([encoder.finish()]);
      const words = await gpu.readU32({ buffer: resolved.buffer, offset: 0 }, 4 * timed);
      const stamps = new BigUint64Array(words.buffer);
      let nanoseconds = 0n;
      for (let i = 0; i < timed; i++) {
        const [begin = 0n, end = 0n] = stamps.subarray(2 * i, 2 * i + 2);
        if (end < begin)
          throw new GpuError('validation', `the adapter's timestamps run backwards: ${begin} to ${end} ns`);
        nanoseconds += end - begin;
      }
      return (Number(nanoseconds) / 1e6) * (passes / Math.max(1, timed));
    },
    destroy() {
      querySet.destroy();
      resolved.release();
    },
  };
}
