import type { OperationResponse } from '@keelson/protocol';
import { KeelsonApiError } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import { connect } from '../connection/connect.ts';
import { AlreadyShown, usageFailure } from '../failure.ts';
import { parseTaskName } from '../names.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';
import { plain } from '../terminal/text.ts';
import { operateOnMany } from './bulk.ts';
import type { OperateOptions } from './operate.ts';
import { readSelection } from './selection.ts';

export type OperateOnTasksOptions = OperateOptions;

/** A task of an instance, as the calls take it. */
interface Place {
  readonly instanceId: string;
  readonly task: string;
}

export interface TaskOperation {
  readonly operation: 'skip' | 'force-success';
  ask(client: KeelsonClient, place: Place): Promise<OperationResponse>;
  words(place: Place, answer: OperationResponse): string;
  wait?(client: KeelsonClient, answer: OperationResponse): Promise<void>;
}

/** Tasks by their names in full, or one task of all instances that the options choose. */
export async function operateOnTasks(
  terminal: Terminal,
  tasks: readonly string[],
  options: OperateOnTasksOptions,
  operation: TaskOperation,
): Promise<void> {
  const [first = ''] = tasks;
  const waits = options.wait === true || options.follow === true;
  const filtered = chooses(options);
  if (waits && (filtered || tasks.length > 1 || options.dryRun === true))
    throw usageFailure('--wait and --follow are for one task that is named in full');
  if (filtered) {
    if (tasks.length > 1 || !/^\w+$/.test(first))
      throw usageFailure('with a choice of instances give the name of one task, without an instance');
    const client = await connect(terminal, options);
    const asked = { operation: operation.operation, task: first };
    return operateOnMany(client, terminal, asked, readSelection([], options), options);
  }
  const names = tasks.map(parseTaskName);
  const client = await connect(terminal, options);
  const places = await Promise.all(
    names.map(async (name): Promise<Place> => (name.kind === 'task' ? name : client.getTaskInstance(name.id))),
  );
  const [place] = places;
  if (options.dryRun === true) return dryRun(client, terminal, places, options, operation);
  if (place === undefined || places.length > 1) return operateOnEach(client, terminal, places, options, operation);
  const answer = await operation.ask(client, place);
  if (waits && operation.wait !== undefined) return operation.wait(client, answer);
  if (options.json === true) printJson(terminal, { ...answer, task: place.task });
  else printLines(terminal, operation.words(place, answer));
}

function chooses({
  project,
  workflow,
  state,
  trigger,
  createdFrom,
  createdTo,
  runFrom,
  runTo,
}: OperateOptions): boolean {
  return [project, workflow, state, trigger, createdFrom, createdTo, runFrom, runTo].some((each) => each !== undefined);
}

async function dryRun(
  client: KeelsonClient,
  terminal: Terminal,
  places: readonly Place[],
  options: OperateOnTasksOptions,
  { operation }: TaskOperation,
): Promise<void> {
  const [{ task } = { task: '' }] = places;
  if (places.some((place) => place.task !== task))
    throw usageFailure('--dry-run looks at one task of several instances, not at several tasks');
  const ids = places.map(({ instanceId }) => instanceId);
  return operateOnMany(client, terminal, { operation, task }, { ids, filter: undefined }, options);
}

/** One after the other; what is refused does not keep the others from being asked. */
async function operateOnEach(
  client: KeelsonClient,
  terminal: Terminal,
  places: readonly Place[],
  { json }: OperateOnTasksOptions,
  { operation, ask }: TaskOperation,
): Promise<void> {
  const items: (Place & { outcome: string; code: string | null; message: string | null })[] = [];
  for (const { instanceId, task } of places) {
    const item = { instanceId, task, code: null, message: null };
    try {
      const { outcome } = await ask(client, { instanceId, task });
      items.push({ ...item, outcome });
    } catch (error) {
      if (!(error instanceof KeelsonApiError) || error.status >= 500 || [401, 403].includes(error.status)) throw error;
      items.push({ ...item, outcome: 'refused', code: error.code, message: error.detail });
    }
  }
  if (json === true) printJson(terminal, { operation, items });
  else {
    const paint = painter(terminal.stdout, terminal.env);
    const rows = items.map(({ instanceId, task, outcome, code, message }) => [
      plain(`${instanceId}/${task}`),
      outcome === 'refused' ? `${paint('red', outcome)}: ${plain(message ?? '')} (${code})` : outcome,
    ]);
    printLines(terminal, tableLines(terminal, ['TASK', 'ANSWER'], rows));
  }
  if (items.some(({ outcome }) => outcome === 'refused')) throw new AlreadyShown();
}
