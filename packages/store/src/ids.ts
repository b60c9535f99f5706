/**
 * Ids on the outside are opaque strings. An instance's is its number; a task instance's names the instance, the
 * generation and the task, because that is its key: no row has to be written before a task instance can be named.
 */
export interface TaskInstanceKey {
  readonly instanceId: string;
  readonly generation: number;
  readonly task: string;
}

/** Names a generation of an instance, as the key of a map. */
export function generationKey(instanceId: string, generation: number): string {
  return `${instanceId}.${generation}`;
}

export function taskInstanceId({ instanceId, generation, task }: TaskInstanceKey): string {
  return `${instanceId}.${generation}.${task}`;
}

/** Undefined when the text is not an id of this form. */
export function parseTaskInstanceId(text: string): TaskInstanceKey | undefined {
  const match = /^([1-9][0-9]{0,17})\.([1-9][0-9]{0,8})\.([A-Za-z_][A-Za-z0-9_]{0,63})$/.exec(text);
  if (match === null) return undefined;
  const [, instanceId = '', generation = '', task = ''] = match;
  return { instanceId, generation: Number(generation), task };
}
