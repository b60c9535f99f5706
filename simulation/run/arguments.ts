import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface Arguments {
  readonly seeds: { readonly first: number; readonly last: number };
  readonly plant: string | undefined;
  readonly listPlants: boolean;
  readonly trace: boolean;
  readonly jobs: number;
  /** This process is one of several jobs: every `of`-th seed, and JSON lines instead of text. */
  readonly part: { readonly number: number; readonly of: number } | undefined;
}

export const USAGE = `npm run simulate -- [--seeds A..B] [--plant NAME] [--jobs N] [--trace] [--list-plants]
  --seeds A..B    the seeds to run, both included; default 1..200
  --plant NAME    run with a bug planted: exit code 0 if a seed catches it
  --jobs N        processes that share the seeds; default 1
  --trace         print everything that happens
  --list-plants   print the names of the planted bugs, one a line`;

/** @throws {Error} with a sentence for a person */
export function readArguments(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seeds: { type: 'string', default: '1..200' },
      plant: { type: 'string' },
      'list-plants': { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      jobs: { type: 'string', default: '1' },
      part: { type: 'string' },
    },
  });
  const [first, last] = numbers(values.seeds, /^(\d+)(?:\.\.(\d+))?$/, '--seeds takes A..B, as in 1..200');
  const [jobs = 1] = numbers(values.jobs, /^([1-9]\d*)$/, '--jobs takes a number');
  const part = values.part === undefined ? undefined : numbers(values.part, /^(\d+)\/(\d+)$/, '--part takes N/OF');
  return {
    seeds: { first: first ?? 1, last: last ?? first ?? 1 },
    plant: values.plant,
    listPlants: values['list-plants'],
    trace: values.trace,
    jobs,
    part: part === undefined ? undefined : { number: part[0] ?? 0, of: part[1] ?? 1 },
  };
}

function numbers(text: string, form: RegExp, otherwise: string): number[] {
  const match = form.exec(text);
  if (match === null) throw new Error(`${otherwise}; got ${JSON.stringify(text)}`);
  return match.slice(1).flatMap((part) => (part === undefined ? [] : [Number(part)]));
}
