import { parseArgs } from 'node:util';
import { NEMESES, SEVERAL } from './nemeses/all.ts';

export const USAGE = `npm run chaos -- [options]

  --minutes M        how long faults are put on the cluster (default 5)
  --seed S           what is drawn from: faults, victims, times, load (default: the time of day)
  --nemesis A,B,…    only these; "several" puts two or three of them on the cluster at once
  --list-nemeses     their names, one a line
  --rate R           starts per second (default 4)
  --workflows A,B,…  only these of the load's workflows
  --plant NAME       with this planted bug in every process: the run must be found violated
  --keep DIR         ledger, logs, evidence and report stay there
  --json             the report as one JSON object on standard output

Exit code 0: passed; 1: a rule was violated; 2: invalid, too little happened to say anything.`;

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Undefined: all that can be had here. */
  readonly nemeses: readonly string[] | undefined;
  readonly rate: number;
  /** Undefined: all. */
  readonly workflows: readonly string[] | undefined;
  readonly plant: string | undefined;
  readonly keep: string | undefined;
  readonly json: boolean;
}

export type Parsed =
  | { readonly kind: 'run'; readonly options: ChaosOptions }
  | { readonly kind: 'list' }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly message: string };

export const NEMESIS_NAMES: readonly string[] = [...NEMESES.map(({ name }) => name), SEVERAL];

export function parseOptions(args: readonly string[]): Parsed {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '5' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        nemesis: { type: 'string' },
        rate: { type: 'string', default: '4' },
        workflows: { type: 'string' },
        plant: { type: 'string' },
        keep: { type: 'string' },
        json: { type: 'boolean', default: false },
        'list-nemeses': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
  } catch (error) {
    return { kind: 'refused', message: error instanceof Error ? error.message : String(error) };
  }
  if (values.help) return { kind: 'help' };
  if (values['list-nemeses']) return { kind: 'list' };
  const listOf = (text: string | undefined) => text?.split(',').map((name) => name.trim());
  const nemeses = listOf(values.nemesis);
  const workflows = listOf(values.workflows);
  const unknown = nemeses?.find((name) => !NEMESIS_NAMES.includes(name));
  if (unknown !== undefined) {
    return {
      kind: 'refused',
      message: `--nemesis: there is no ${JSON.stringify(unknown)}; there are ${NEMESIS_NAMES.join(', ')}`,
    };
  }
  const [minutes, seed, rate] = [Number(values.minutes), Number(values.seed), Number(values.rate)];
  if (!(minutes > 0)) return { kind: 'refused', message: `--minutes ${values.minutes} is no number above 0` };
  if (!Number.isSafeInteger(seed)) return { kind: 'refused', message: `--seed ${values.seed} is no whole number` };
  if (!(rate > 0)) return { kind: 'refused', message: `--rate ${values.rate} is no number above 0` };
  return {
    kind: 'run',
    options: { minutes, seed, nemeses, rate, workflows, plant: values.plant, keep: values.keep, json: values.json },
  };
}
