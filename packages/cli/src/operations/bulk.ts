import type { BulkFilter, BulkInput, BulkItem, InstanceOperation } from '@keelson/protocol';
import { MAX_BULK } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { ConnectedOptions } from '../command.ts';
import { AlreadyShown, CliFailure } from '../failure.ts';
import { stateSymbol, stateText } from '../terminal/states.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';
import { counted, localTime, plain } from '../terminal/text.ts';
import { canAsk, confirm } from './confirm.ts';
import type { Selection, SelectionOptions } from './selection.ts';

/** What is asked of each instance: a bulk request without its choice of instances. */
export type Asked = BulkInput extends infer Each
  ? Each extends BulkInput
    ? Omit<Each, 'filter' | 'dryRun' | 'limit' | 'cursor'>
    : never
  : never;

export type BulkOptions = ConnectedOptions & Pick<SelectionOptions, 'limit' | 'dryRun' | 'yes'>;

/** One operation on many instances, each answered in a line of its own. Fails when one of them was refused. */
export async function operateOnMany(
  client: KeelsonClient,
  terminal: Terminal,
  asked: Asked,
  selection: Selection,
  options: BulkOptions,
): Promise<void> {
  const json = options.json === true;
  const dryRun = options.dryRun === true;
  // Ids are meant as they stand there; what a filter finds is worth a look before.
  const asks = selection.filter !== undefined && !dryRun && options.yes !== true && !json && canAsk(terminal);
  let chosen = selection;
  if (asks) {
    const would = await operateOnAll(client, asked, selection, { dryRun: true, limit: options.limit });
    const ids = would.filter(({ outcome }) => outcome === 'requested').map(({ id }) => id);
    printLines(terminal, itemLines(terminal, would));
    if (ids.length === 0) return remark(terminal, summaryOf(would, true));
    if (!(await confirm(terminal, `${asked.operation}: ${counted(ids.length, 'instance')}?`)))
      throw new CliFailure('not-confirmed', 'nothing was done');
    // Exactly what was shown.
    chosen = { ids, filter: undefined };
  }
  const items = await operateOnAll(client, asked, chosen, { dryRun, limit: options.limit });
  if (json) printJson(terminal, { operation: asked.operation satisfies InstanceOperation, dryRun, items });
  else {
    if (items.length > 0) printLines(terminal, itemLines(terminal, items));
    remark(terminal, items.length === 0 ? 'There are no such instances' : summaryOf(items, dryRun));
  }
  if (!dryRun && items.some(({ outcome }) => outcome === 'refused')) throw new AlreadyShown();
}

/** Page by page, until the limit or the end. */
async function operateOnAll(
  client: KeelsonClient,
  asked: Asked,
  { ids, filter }: Selection,
  { dryRun, limit = Number.POSITIVE_INFINITY }: { readonly dryRun: boolean; readonly limit?: number | undefined },
): Promise<BulkItem[]> {
  const items: BulkItem[] = [];
  for (const part of ids.length === 0 ? [undefined] : chunks(ids, MAX_BULK)) {
    const wanted: BulkFilter = { ...filter, ...(part !== undefined && { ids: part }) };
    let cursor: string | undefined;
    do {
      const left = limit - items.length;
      if (left <= 0) return items;
      const page = await client.operateInstances({
        ...asked,
        filter: wanted,
        dryRun,
        limit: Math.min(MAX_BULK, left),
        ...(cursor !== undefined && { cursor }),
      });
      items.push(...page.items);
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
  }
  return items;
}

function chunks(ids: readonly string[], size: number): string[][] {
  const parts: string[][] = [];
  for (let from = 0; from < ids.length; from += size) parts.push(ids.slice(from, from + size));
  return parts;
}

function itemLines(terminal: Terminal, items: readonly BulkItem[]): string[] {
  const paint = painter(terminal.stdout, terminal.env);
  return tableLines(
    terminal,
    ['ID', 'WORKFLOW', 'RUN TIME', 'STATE', 'ANSWER'],
    items.map(({ id, project, workflow, runTime, state, outcome, code, message }) => [
      plain(id),
      project === null ? '' : `${project}/${workflow}`,
      runTime === null ? '' : localTime(runTime),
      state === null ? '' : `${stateSymbol(state, paint)} ${stateText(state, paint)}`,
      outcome === 'refused' ? `${paint('red', outcome)}: ${plain(message ?? '')} (${code})` : outcome,
    ]),
  );
}

/** `3 requested, 1 already so, 2 refused`. */
function summaryOf(items: readonly BulkItem[], dryRun: boolean): string {
  const count = (outcome: BulkItem['outcome']) => items.filter((item) => item.outcome === outcome).length;
  const parts = [
    [count('requested'), 'requested'],
    [count('already'), 'already so'],
    [count('refused'), 'refused'],
  ] as const;
  const text = parts
    .filter(([number]) => number > 0)
    .map(([number, words]) => `${number} ${words}`)
    .join(', ');
  return dryRun ? `Nothing was done; it would be: ${text}` : text;
}
