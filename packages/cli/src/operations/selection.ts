import type { BulkFilter } from '@keelson/protocol';
import { INSTANCE_STATES, INSTANCE_TRIGGERS } from '@keelson/protocol';
import type { Command } from 'commander';
import { integer } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { parseWorkflowName } from '../names.ts';
import { oneOf, parseRunTime } from '../start-options.ts';

/** Some instances, as a person says it. */
export interface FilterOptions {
  readonly project?: string;
  readonly workflow?: string;
  readonly state?: string;
  readonly trigger?: string;
  readonly createdFrom?: string;
  readonly createdTo?: string;
  readonly runFrom?: string;
  readonly runTo?: string;
}

/** Which instances an operation is for. */
export interface SelectionOptions extends FilterOptions {
  readonly limit?: number;
  readonly dryRun?: true;
  readonly yes?: true;
}

/** Ids that a person named, or whatever fits. */
export interface Selection {
  readonly ids: readonly string[];
  /** Undefined: only the ids. */
  readonly filter: Omit<BulkFilter, 'ids'> | undefined;
}

/** Adds the options that tell instances apart by how and when they began. */
export function begunBy(command: Command): Command {
  return command
    .option('--trigger <trigger>', `those begun by this: ${INSTANCE_TRIGGERS.join(', ')}`)
    .option('--created-from <time>', 'those created then or later')
    .option('--created-to <time>', 'those created before')
    .option('--run-from <time>', 'those whose run time is then or later')
    .option('--run-to <time>', 'those whose run time is before');
}

/** Adds the options that choose instances without naming them. */
export function selecting(command: Command): Command {
  command
    .option('--workflow <name>', 'those of this [project/]workflow')
    .option('--project <name>', 'those of this project')
    .option('--state <state>', `those in this state: ${INSTANCE_STATES.join(', ')}`);
  return begunBy(command)
    .option('--limit <n>', 'the newest n of them at most (default: all)', integer(1, 1_000_000))
    .option('--dry-run', 'say what would happen to each, and do nothing')
    .option('-y, --yes', 'do not ask, also on a terminal');
}

/** Only what was asked for. Throws a usage failure when a value is none. */
export function readFilter(options: FilterOptions): Omit<BulkFilter, 'ids'> {
  const named =
    options.workflow === undefined
      ? { project: options.project }
      : parseWorkflowName(
          options.workflow.includes('/') || options.project === undefined
            ? options.workflow
            : `${options.project}/${options.workflow}`,
        );
  const time = (option: string, text: string | undefined) =>
    text === undefined ? undefined : parseRunTime(text, option);
  const all = {
    ...named,
    state: options.state === undefined ? undefined : oneOf('--state', options.state, INSTANCE_STATES),
    trigger: options.trigger === undefined ? undefined : oneOf('--trigger', options.trigger, INSTANCE_TRIGGERS),
    createdFrom: time('--created-from', options.createdFrom),
    createdTo: time('--created-to', options.createdTo),
    runFrom: time('--run-from', options.runFrom),
    runTo: time('--run-to', options.runTo),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Throws a usage failure when nothing at all is chosen. */
export function readSelection(ids: readonly string[], options: SelectionOptions): Selection {
  const filter = readFilter(options);
  const filtered = Object.keys(filter).length > 0;
  if (ids.length === 0 && !filtered)
    throw usageFailure(
      'no instance is named',
      'name one or several IDs, or choose with --workflow, --project, --state, --trigger or a range of times',
    );
  return { ids: [...new Set(ids)], filter: filtered ? filter : undefined };
}
