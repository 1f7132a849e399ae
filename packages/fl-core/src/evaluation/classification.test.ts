import { describe, expect, it } from 'vitest';
import { classificationMetrics } from './classification.ts';

// By hand from the definitions: precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = 2·P·R / (P + R), 0 where P + R is 0.
describe('classification metrics as scikit-learn has them', () => {
  it('agree on three classes with every kind of error', () => {
    // class 0: TP 2, FP 1, FN 0: P 2/3, R 1, F1 0.8. class 1: TP 0, FP 1, FN 2: F1 0. class 2: TP 1, FP 1, FN 1: F1 1/2.
    const { accuracy, f1Macro, f1Micro, f1Weighted } = classificationMetrics([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 2]);
    expect(accuracy).toBeCloseTo(0.5, 12);
    expect(f1Macro).toBeCloseTo((0.8 + 0 + 0.5) / 3, 12);
    expect(f1Micro).toBeCloseTo(0.5, 12); // TP 3, FP 3, FN 3
    expect(f1Weighted).toBeCloseTo((2 * 0.8 + 2 * 0 + 2 * 0.5) / 6, 12);
  });

  it('weigh classes by their rows, not by their predictions', () => {
    // class 0: 6 rows, 7 predictions, TP 5: F1 10/13. class 1: 3 rows, 3 predictions, TP 1: F1 1/3. class 2: never predicted: 0.
    const truth = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2];
    const predicted = [0, 0, 0, 0, 0, 1, 1, 0, 0, 1];
    const metrics = classificationMetrics(truth, predicted);
    expect(metrics.accuracy).toBeCloseTo(0.6, 12);
    expect(metrics.f1Macro).toBeCloseTo((10 / 13 + 1 / 3) / 3, 12);
    expect(metrics.f1Micro).toBeCloseTo(0.6, 12);
    expect(metrics.f1Weighted).toBeCloseTo((6 * (10 / 13) + 3 * (1 / 3)) / 10, 12);
  });

  it('leave out classes that no row has and nobody predicts, and count those that are only predicted', () => {
    // Of 0…9 only 3 and 7 occur: F1 of 3 is 2·2/(3 + 2) = 0.8, of 7 it is 0 (no row, one prediction).
    const metrics = classificationMetrics([3, 3, 3], [3, 7, 3]);
    expect(metrics.f1Macro).toBeCloseTo(0.4, 12);
    expect(metrics.f1Weighted).toBeCloseTo(0.8, 12);
    expect([metrics.accuracy, metrics.f1Micro]).toEqual([2 / 3, 2 / 3]);
  });

  it('are 1 for perfect and 0 for wholly wrong predictions', () => {
    const right = { accuracy: 1, f1Macro: 1, f1Micro: 1, f1Weighted: 1 };
    expect(classificationMetrics([0, 1, 1, 2], [0, 1, 1, 2])).toEqual(right);
    const wrong = { accuracy: 0, f1Macro: 0, f1Micro: 0, f1Weighted: 0 };
    expect(classificationMetrics([0, 1], [1, 0])).toEqual(wrong);
  });

  it('do not depend on the order of rows, and refuse none', () => {
    const [truth, predicted] = [
      [0, 1, 2, 1, 0, 2, 2],
      [1, 1, 2, 0, 0, 1, 2],
    ];
    const reversed = classificationMetrics(truth.toReversed(), predicted.toReversed());
    expect(reversed).toEqual(classificationMetrics(truth, predicted));
    expect(() => classificationMetrics([], [])).toThrow(/got 0 classes/);
    expect(() => classificationMetrics([1], [1, 2])).toThrow(/1 classes and 2 predictions/);
  });
});
