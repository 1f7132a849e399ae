import type { BufferView } from './buffers.ts';
import type { Grid } from './grid.ts';
import { type Pace, SUBMIT_AIM_SECONDS, type Work } from './pace.ts';

/** A recorded command, ready to be encoded. */
export type Ready = ReadyDispatch | Copy | Clear;

export interface ReadyDispatch {
  readonly kind: 'dispatch';
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: Grid;
  readonly work: Work;
}
export interface Copy {
  readonly kind: 'copy';
  readonly from: BufferView;
  readonly to: BufferView;
  readonly bytes: number;
}
export interface Clear {
  readonly kind: 'clear';
  readonly view: BufferView;
}

export function workOf(command: Ready): Work {
  switch (command.kind) {
    case 'dispatch':
      return command.work;
    case 'copy':
      return { flops: 0, bytes: 2 * command.bytes, commands: 1 };
    case 'clear':
      return { flops: 0, bytes: command.view.size, commands: 1 };
    default:
      return command satisfies never;
  }
}

/** Where a list of commands is cut into submits. */
export interface SubmitPlan {
  /** Index after the last command of every submit. */
  readonly ends: readonly number[];
  readonly works: readonly Work[];
  /** The rates that the plan was made for. */
  readonly flopsPerSecond: number;
  readonly bytesPerSecond: number;
}

/** Cuts so that every submit is expected to take `aimSeconds` at most; a longer command is a submit of its own. */
export function planSubmits(commands: readonly Work[], pace: Pace, aimSeconds = SUBMIT_AIM_SECONDS): SubmitPlan {
  const ends: number[] = [];
  const works: Work[] = [];
  let sum: Work = { flops: 0, bytes: 0, commands: 0 };
  let elapsed = 0;
  commands.forEach((work, i) => {
    const next = pace.seconds(work);
    if (sum.commands > 0 && elapsed + next > aimSeconds) {
      ends.push(i);
      works.push(sum);
      sum = { flops: 0, bytes: 0, commands: 0 };
      elapsed = 0;
    }
    sum = {
      flops: sum.flops + work.flops,
      bytes: sum.bytes + work.bytes,
      commands: sum.commands + work.commands,
    };
    elapsed += next;
  });
  if (sum.commands > 0) {
    ends.push(commands.length);
    works.push(sum);
  }
  const { flopsPerSecond, bytesPerSecond } = pace;
  return { ends, works, flopsPerSecond, bytesPerSecond };
}

/** A plan is made anew only when a rate left this range of what it was made for: cuts stay the same step after step. */
const TOLERANCE = 1.5;

export function stillFits(plan: SubmitPlan, pace: Pace): boolean {
  const near = (now: number, then: number): boolean => now < then * TOLERANCE && then < now * TOLERANCE;
  return near(pace.flopsPerSecond, plan.flopsPerSecond) && near(pace.bytesPerSecond, plan.bytesPerSecond);
}

/** Encodes commands from ≤ i < to; neighbouring dispatches share a pass. */
export function encodeCommands(device: GPUDevice, commands: readonly Ready[], from: number, to: number) {
  const encoder = device.createCommandEncoder();
  let pass: GPUComputePassEncoder | undefined;
  for (let i = from; i < to; i++) {
    const command = commands[i] as Ready; // from and to are within the list
    if (command.kind === 'dispatch') {
      pass ??= encoder.beginComputePass();
      pass.setPipeline(command.pipeline);
      pass.setBindGroup(0, command.group);
      pass.dispatchWorkgroups(command.grid[0], command.grid[1], command.grid[2]);
      continue;
    }
    pass?.end();
    pass = undefined;
    if (command.kind === 'copy') {
      const { from: source, to: target, bytes } = command;
      encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, bytes);
    } else {
      encoder.clearBuffer(command.view.buffer, command.view.offset, command.view.size);
    }
  }
  pass?.end();
  return encoder.finish();
}

/** Runs of a program that are timed: after the first, which may compile, a few, and later one in many. */
const EARLY_RUNS = 4;
const LATER_RUNS = 16;

/** Submits a recorded list again and again, in pieces that follow the measured pace. */
export function createSubmitter(device: GPUDevice, pace: Pace, commands: readonly Ready[], now: () => number) {
  const works = commands.map(workOf);
  const work: Work = {
    flops: works.reduce((sum, { flops }) => sum + flops, 0),
    bytes: works.reduce((sum, { bytes }) => sum + bytes, 0),
    commands: works.length,
  };
  let plan: SubmitPlan | undefined;
  let runs = 0;
  let watching = false;
  /** Times every submit of this run by when the queue reports it done. Nothing waits for it. */
  const watch = (times: SubmitPlan) => {
    watching = true;
    let previousDoneMs = 0;
    void device.queue
      .onSubmittedWorkDone()
      .then(() => {
        previousDoneMs = now();
      })
      .catch(() => undefined);
    return (submit: number) => {
      const submittedMs = now();
      device.queue
        .onSubmittedWorkDone()
        .then(() => {
          const doneMs = now();
          const work = times.works[submit];
          if (work) pace.observe(work, (doneMs - Math.max(submittedMs, previousDoneMs)) / 1000);
          previousDoneMs = doneMs;
        })
        .catch(() => undefined) // a lost device reports itself
        .finally(() => {
          if (submit === times.ends.length - 1) watching = false;
        });
    };
  };
  return {
    work,
    get submits() {
      plan ??= planSubmits(works, pace);
      return plan.ends.length;
    },
    run(): void {
      if (!plan || !stillFits(plan, pace)) plan = planSubmits(works, pace);
      const timed = !watching && runs > 0 && (runs <= EARLY_RUNS || runs % LATER_RUNS === 0);
      const submitted = timed && plan.ends.length > 0 ? watch(plan) : undefined;
      runs += 1;
      let from = 0;
      for (let i = 0; i < plan.ends.length; i++) {
        const to = plan.ends[i] as number; // i < length
        device.queue.submit([encodeCommands(device, commands, from, to)]);
        submitted?.(i);
        from = to;
      }
    },
  };
}
