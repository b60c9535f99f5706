import { hashText } from '../clock/random.ts';

/** What happened, in order. Its hash says whether two runs were the same. */
export interface Trace {
  note(node: string, what: string): void;
  readonly hash: string;
  /** All lines; empty unless they are kept. */
  readonly lines: readonly string[];
}

/** @param keep whether to remember the lines: a run that failed is run again with it */
export function openTrace(now: () => number, keep: boolean, print?: (line: string) => void): Trace {
  const lines: string[] = [];
  let high = 1;
  let low = 2;
  return {
    note: (node, what) => {
      const line = `${now().toFixed(3)} ${node} ${what}`;
      high = hashText(line, high);
      low = hashText(line, low ^ high);
      if (keep) lines.push(line);
      print?.(line);
    },
    get hash() {
      return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
    },
    lines,
  };
}
