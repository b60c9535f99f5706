import type { KeelsonClient } from '@keelson/sdk/client';
import type { OperationResponse } from '@keelson/protocol';
import type { Terminal } from '../terminal/terminal.ts';
import { waitForEnd } from '../commands/run.ts';

interface WaitOptions {
  readonly follow?: true;
  readonly json?: true;
}

/** Of what begins a new generation: follows it to its end, and fails unless it succeeds. */
export function waitForGeneration(terminal: Terminal, options: WaitOptions) {
  return (client: KeelsonClient, { id }: OperationResponse): Promise<void> =>
    waitForEnd(client, id, terminal, { follow: options.follow === true, json: options.json === true });
}

/** The generation that stands now: named in the request, so that one whose answer is lost can be asked for again. */
export async function generationNow(client: KeelsonClient, id: string): Promise<{ readonly generation: number }> {
  const { generation } = await client.getInstance(id);
  return { generation };
}

export function begunWords(what: string) {
  return ({ id, outcome, generation }: OperationResponse): string =>
    outcome === 'requested'
      ? `Instance ${id} begins generation ${generation}: ${what}`
      : `Instance ${id} has begun generation ${generation} already: ${what}`;
}
