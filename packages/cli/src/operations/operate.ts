import type { OperationResponse } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import { usageFailure } from '../failure.ts';
import { connect } from '../connection/connect.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';
import type { Asked, BulkOptions } from './bulk.ts';
import { operateOnMany } from './bulk.ts';
import type { SelectionOptions } from './selection.ts';
import { readSelection } from './selection.ts';

export type OperateOptions = BulkOptions & SelectionOptions & { readonly wait?: true; readonly follow?: true };

export interface OneOperation {
  readonly asked: Asked;
  /** Asks it of the one instance that was named. */
  ask(client: KeelsonClient, id: string): Promise<OperationResponse>;
  /** What it says without --wait. */
  words(answer: OperationResponse): string;
  /** What --wait and --follow do. */
  wait?(client: KeelsonClient, answer: OperationResponse): Promise<void>;
}

/** One instance is answered in a sentence, several or those of a filter in a table. */
export async function operate(
  terminal: Terminal,
  ids: readonly string[],
  options: OperateOptions,
  operation: OneOperation,
): Promise<void> {
  const selection = readSelection(ids, options);
  const [id] = selection.ids;
  const waits = options.wait === true || options.follow === true;
  const one = id !== undefined && selection.ids.length === 1 && selection.filter === undefined;
  if (waits && (!one || options.dryRun === true))
    throw usageFailure('--wait and --follow are for one instance that is named by its id');
  const client = await connect(terminal, options);
  if (!one || options.dryRun === true) return operateOnMany(client, terminal, operation.asked, selection, options);
  const answer = await operation.ask(client, id);
  if (waits && operation.wait !== undefined) return operation.wait(client, answer);
  if (options.json === true) printJson(terminal, answer);
  else printLines(terminal, operation.words(answer));
}
