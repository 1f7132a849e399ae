/** Workgroups in x, y and z. */
export type Grid = readonly [x: number, y: number, z: number];

/** Workgroups for `count` items of `perGroup`, folded into y where x would pass WebGPU's 65535. */
export function gridFor(count: number, perGroup: number): Grid {
  const groups = Math.max(1, Math.ceil(count / perGroup));
  if (groups <= 65535) return [groups, 1, 1];
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}
