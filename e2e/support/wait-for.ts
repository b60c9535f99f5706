import { setTimeout as delay } from 'node:timers/promises';

const DEADLINE_MS = 60_000;
const PAUSE_MS = 25;

/** Asks again and again until the answer is something; throws after the deadline. What asking throws is thrown on. */
export async function waitFor<Answer>(
  what: string,
  ask: () => Promise<Answer | undefined> | Answer | undefined,
  deadlineMs = DEADLINE_MS,
): Promise<Answer> {
  const until = performance.now() + deadlineMs;
  do {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await delay(PAUSE_MS);
  } while (performance.now() < until);
  throw new Error(`waited ${deadlineMs / 1000} s in vain: ${what}`);
}
