/** A library that takes the task's steps. */
export interface Stepper {
  /** Forward, backward and AdamW on the whole batch; resolves with the loss before the update, all of it finished. */
  step(): Promise<number>;
  destroy(): void;
}
