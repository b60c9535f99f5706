/** One measured thing. `bar` is what the project wants of its median (or of the named percentile). */
export interface Figure {
  readonly unit: string;
  readonly samples: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly p99?: number;
  readonly bar?: Bar;
  readonly met?: boolean;
}

export interface Bar {
  readonly bound: 'at most' | 'at least';
  readonly value: number;
  /** What it is set on; default: the median. With fewer than 100 samples the p99 is the worst of them. */
  readonly of?: 'p99' | 'max';
}

export const atMost = (value: number): Bar => ({ bound: 'at most', value });
export const p99AtMost = (value: number): Bar => ({ bound: 'at most', value, of: 'p99' });
export const neverMoreThan = (value: number): Bar => ({ bound: 'at most', value, of: 'max' });
export const atLeast = (value: number): Bar => ({ bound: 'at least', value });

/** Nearest-rank percentile of sorted values. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

const rounded = (value: number): number =>
  Math.abs(value) >= 100 ? Math.round(value * 10) / 10 : Math.round(value * 1000) / 1000;

/** p99 only where there are enough samples to speak of one. */
export function figure(unit: string, values: readonly number[], bar?: Bar): Figure {
  if (values.length === 0) throw new Error(`no samples for a figure in ${unit}`);
  const sorted = values.toSorted((a, b) => a - b);
  const middle = median(sorted);
  return {
    unit,
    samples: sorted.length,
    median: rounded(middle),
    min: rounded(sorted[0] ?? Number.NaN),
    max: rounded(sorted.at(-1) ?? Number.NaN),
    ...(sorted.length >= 100 && { p99: rounded(percentile(sorted, 0.99)) }),
    ...(bar && { bar, met: isMet(bar, sorted) }),
  };
}

function isMet({ bound, value, of }: Bar, sorted: readonly number[]): boolean {
  const measured = of === undefined ? median(sorted) : percentile(sorted, of === 'p99' ? 0.99 : 1);
  return bound === 'at most' ? measured <= value : measured >= value;
}
