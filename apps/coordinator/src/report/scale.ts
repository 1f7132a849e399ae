/** Where a value is drawn, and what the axis says. */
export interface Scale {
  /** Position from 0 (low end) to 1. */
  of(value: number): number;
  readonly ticks: readonly { readonly value: number; readonly label: string }[];
}

/** Round steps of 1, 2 or 5 × 10ᵏ that give about `count` ticks over the range. */
function step(range: number, count: number): number {
  const raw = range / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
}

/** Even from `low` to `high`, rounded outwards to ticks. */
export function linearScale(low: number, high: number, count = 5): Scale {
  const range = high > low ? high - low : Math.abs(high) || 1;
  const size = step(range, count);
  const first = Math.floor(low / size) * size;
  const last = Math.max(Math.ceil(high / size - 1e-9) * size, first + size);
  const digits = Math.max(0, -Math.floor(Math.log10(size) + 1e-9));
  const ticks = Array.from({ length: Math.round((last - first) / size) + 1 }, (_, i) => first + i * size);
  return {
    of: (value) => (value - first) / (last - first),
    ticks: ticks.map((value) => ({ value, label: value.toFixed(digits).replace('-', '−') })),
  };
}

/** Logarithmic, for positive values that span more than a decade: ticks at 1, 2, 5 × 10ᵏ. */
export function logScale(low: number, high: number): Scale {
  const nice: number[] = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++)
    for (const factor of [1, 2, 5]) nice.push(factor * 10 ** k);
  const first = nice.filter((value) => value <= low * (1 + 1e-9)).at(-1) ?? low;
  const last = nice.find((value) => value >= high * (1 - 1e-9)) ?? high;
  const ticks = nice.filter((value) => value >= first && value <= last);
  return {
    of: (value) => Math.log(value / first) / Math.log(last / first),
    ticks: ticks.map((value) => ({ value, label: String(Number(value.toPrecision(1))) })),
  };
}
