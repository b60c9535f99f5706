/**
 * How much later than its time a fire starts: from 0 up to and including `jitterMs`, the same whenever it is asked for the
 * same schedule and time, and spread evenly over schedules that are due together.
 */
export function jitterOf(jitterMs: number, scheduleKey: string, dueMs: number): number {
  if (jitterMs <= 0) return 0;
  return hash32(`${scheduleKey}\n${dueMs}`) % (jitterMs + 1);
}

/** FNV-1a over code units, with the last mixing of MurmurHash3 so that near keys end far apart. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** What the jitter of a schedule hangs on: it stays when the trigger changes. */
export function scheduleKeyOf(project: string, workflow: string, triggerId: string): string {
  return `${project}/${workflow}/${triggerId}`;
}
