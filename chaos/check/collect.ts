import type { Client } from '../load/client.ts';
import type { EventRecord, InstanceRecord, TaskRecord } from './evidence.ts';

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

interface Summary {
  readonly id: string;
  readonly workflow: string;
  readonly state: string;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

interface Detail extends Summary {
  readonly params: { readonly mark?: string };
  readonly tasks: readonly TaskRecord[];
}

const ABREAST = 8;

/** Every item of a list, page by page. */
async function everyItem<Item>(client: Client, path: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page = (await client.until('GET', `${path}?limit=500${query}`)) as Page<Item>;
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

export function listInstances(client: Client): Promise<Summary[]> {
  return everyItem<Summary>(client, 'instances');
}

/** Every instance with its tasks and its history, through the REST API as any client may. */
export async function collectInstances(client: Client): Promise<InstanceRecord[]> {
  const left = await listInstances(client);
  const records: InstanceRecord[] = [];
  const line = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) records.push(await recordOf(client, next.id));
  };
  await Promise.all(Array.from({ length: ABREAST }, line));
  return records;
}

async function recordOf(client: Client, id: string): Promise<InstanceRecord> {
  const detail = (await client.until('GET', `instances/${id}`)) as Detail;
  const history = await everyItem<{ at: string; events: readonly EventRecord[] }>(client, `instances/${id}/history`);
  const alive = detail.endedAt === null;
  return {
    id,
    workflow: detail.workflow,
    mark: detail.params.mark ?? '',
    state: detail.state,
    createdAt: Date.parse(detail.createdAt),
    endedAt: detail.endedAt === null ? undefined : Date.parse(detail.endedAt),
    tasks: detail.tasks.map(({ task, state, attempt }) => ({ task, state, attempt })),
    events: history.flatMap(({ at, events }) => events.map((event) => ({ ...event, at }))),
    ...(alive && { why: whyText(await client.until('GET', `instances/${id}/why`)) }),
  };
}

/** The reasons of tasks that somebody holds up; the others wait for those. */
function whyText(why: unknown): string {
  const { tasks } = why as { tasks: { task: string; reasons: { code: string; message: string }[] }[] };
  const said = tasks.flatMap(({ task, reasons }) =>
    reasons.filter(({ code }) => code !== 'waiting-for-upstream').map(({ message }) => `${task} ${message}`),
  );
  return said.join('; ');
}
