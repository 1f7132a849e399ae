import { FlError } from '../error.ts';
import { createRng, type Rng } from '../rng.ts';
import { emptyParts, mixed, type PartitionInput, requireClasses, rowsByValue, shuffledRows } from './partition-rows.ts';

const MAX_DRAWS = 1000;

/**
 * Label skew: for every label on its own, the shares of the clients are drawn from Dir(α, …, α) and the label's rows cut
 * accordingly (Yurochkin et al. 2019, "Bayesian Nonparametric Federated Learning of Neural Networks", §4). Hsu et al.
 * 2019 draw, for every client, its mixture of labels instead; both are even for large α and give a client one label for
 * small α, but here sizes differ too. Drawn anew, as there, until every client has a row; FlError 'invalid' after 1000 draws,
 * or for labels that are no classes.
 */
export function dirichlet(input: PartitionInput, { alpha }: { readonly alpha: number }): number[][] {
  requireClasses('dirichlet', input.labels);
  const groups = [...rowsByValue(shuffledRows(input), input.labels).values()];
  return mixed(cutUntilAllHave('dirichlet', input, alpha, groups), input.seed);
}

/** Size skew: the clients' shares of all rows are drawn from Dir(α, …, α); rows themselves are dealt at random. */
export function quantity(input: PartitionInput, { alpha }: { readonly alpha: number }): number[][] {
  return cutUntilAllHave('quantity', input, alpha, [shuffledRows(input)]);
}

function cutUntilAllHave(
  kind: string,
  { clients, seed }: PartitionInput,
  alpha: number,
  groups: readonly (readonly number[])[],
): number[][] {
  const rng = createRng(`${seed}/partition-shares`);
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const cuts = groups.map((rows) => cutPoints(drawDirichlet(rng, alpha, clients), rows.length, rng.uniform()));
    const has = (client: number): boolean => cuts.some((cut) => (cut[client + 1] ?? 0) > (cut[client] ?? 0));
    if (!Array.from({ length: clients }, (_, client) => has(client)).every(Boolean)) continue;
    const parts = emptyParts(clients);
    groups.forEach((rows, group) => {
      const cut = cuts[group] ?? [];
      parts.forEach((part, client) => {
        for (const row of rows.slice(cut[client], cut[client + 1])) part.push(row);
      });
    });
    return parts;
  }
  throw new FlError(
    'invalid',
    `partition ${kind}: with α = ${alpha} and ${clients} clients someone had no row in each of ${MAX_DRAWS} draws: take a larger α, fewer clients or more rows`,
  );
}

/**
 * Where to cut `count` rows for these shares: shares.length + 1 ascending positions from 0 to count. Row j goes to the
 * client whose stretch of the summed shares holds (j + offset)/count: with a random offset in [0, 1) every client gets
 * share·count rows on average, even where a label has fewer rows than there are clients.
 */
function cutPoints(shares: readonly number[], count: number, offset: number): number[] {
  const cuts = [0];
  let sum = 0;
  for (const share of shares) {
    sum += share;
    cuts.push(Math.min(count, Math.max(0, Math.ceil(sum * count - offset))));
  }
  cuts[shares.length] = count; // the shares' sum is 1 only up to rounding
  return cuts;
}

/** One draw from the symmetric Dirichlet distribution: `size` shares that sum to 1, from gammas divided by their sum. */
export function drawDirichlet(rng: Rng, alpha: number, size: number): number[] {
  const logs = Array.from({ length: size }, () => drawLogGamma(rng, alpha));
  const largest = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * The logarithm of one draw from Gamma(α, 1): Marsaglia and Tsang 2000, "A Simple Method for Generating Gamma Variables",
 * ACM TOMS 26(3): with d = α − 1/3 and c = 1/√(9d), d(1 + cx)³ for a normal x, accepted when ln u < x²/2 + d − dv + d ln v;
 * for α < 1 their §6, Gamma(α + 1)·u^(1/α). A logarithm, because for small α the draw itself is below the least double.
 */
export function drawLogGamma(rng: Rng, alpha: number): number {
  if (alpha < 1) return drawLogGamma(rng, alpha + 1) + Math.log(1 - rng.uniform()) / alpha;
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = rng.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - rng.uniform()) < x ** 2 / 2 + d - d * v + d * Math.log(v)) return Math.log(d) + Math.log(v);
  }
}
