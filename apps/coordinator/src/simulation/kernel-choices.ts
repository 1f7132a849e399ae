import type { TuningStore } from '@cotune/kernels';

/** The file in an experiment's directory that keeps which kernels compute it. */
export const KERNEL_CHOICES_FILE = 'kernels.json';

/**
 * Which kernels are the fastest is measured, and another choice may round in other ways: so an experiment keeps the choices
 * it was begun with. New ones are taken from the device's own store, or measured, and written to both.
 */
export function experimentChoices(own: TuningStore, device: TuningStore): TuningStore {
  return {
    async get(key) {
      const kept = await own.get(key);
      if (kept !== undefined) return kept;
      const known = await device.get(key);
      if (known !== undefined) await own.set(key, known);
      return known;
    },
    async set(key, value) {
      await own.set(key, value);
      await device.set(key, value);
    },
  };
}
