/** How well classes were predicted, each a share from 0 to 1. */
export interface ClassificationMetrics {
  readonly accuracy: number;
  /** Mean of the classes' F1, each counting alike. */
  readonly f1Macro: number;
  /** F1 of all hits and misses together; with one class a row it is the accuracy. */
  readonly f1Micro: number;
  /** Mean of the classes' F1, each counting as often as it is the truth. */
  readonly f1Weighted: number;
}

/**
 * What scikit-learn's `accuracy_score` and `f1_score(…, average='macro' | 'micro' | 'weighted', zero_division=0)` give:
 * F1 = 2·TP / (2·TP + FP + FN) of each class that is the truth or the prediction of a row at least; classes that are neither
 * are left out of the macro mean. `truth[i]` and `predicted[i]` are row i's classes by any number.
 * Throws RangeError for no rows, and where there are not as many predictions.
 */
export function classificationMetrics(truth: readonly number[], predicted: readonly number[]): ClassificationMetrics {
  if (truth.length === 0 || truth.length !== predicted.length) {
    throw new RangeError(
      `got ${truth.length} classes and ${predicted.length} predictions, expected as many of both, one at least`,
    );
  }
  const classes = new Map<number, Tally>();
  const tally = (of: number): Tally => {
    const found = classes.get(of) ?? { hits: 0, rows: 0, predictions: 0 };
    classes.set(of, found);
    return found;
  };
  let hits = 0;
  truth.forEach((right, i) => {
    const guess = predicted[i] ?? Number.NaN;
    tally(right).rows += 1;
    tally(guess).predictions += 1;
    if (guess !== right) return;
    tally(right).hits += 1;
    hits += 1;
  });
  let macro = 0;
  let weighted = 0;
  // In the order of the classes, so that the sums do not depend on that of the rows.
  for (const [, one] of [...classes].sort(([a], [b]) => a - b)) {
    const f1 = (2 * one.hits) / (one.rows + one.predictions); // TP + FN = rows, TP + FP = predictions
    macro += f1;
    weighted += f1 * one.rows;
  }
  const accuracy = hits / truth.length;
  return { accuracy, f1Macro: macro / classes.size, f1Micro: accuracy, f1Weighted: weighted / truth.length };
}

interface Tally {
  hits: number;
  /** Rows of which it is the truth. */
  rows: number;
  predictions: number;
}
