import type { WorkerLog } from './worker-log.ts';

/** Whether the server answers, told once for each change. */
export interface Contact {
  made(): void;
  lost(why: string): void;
}

export function createContact(log: WorkerLog): Contact {
  let inTouch = true;
  return {
    made() {
      if (inTouch) return;
      inTouch = true;
      log('info', 'in contact with the server again');
    },
    lost(why) {
      if (!inTouch) return;
      inTouch = false;
      log('warn', `no contact with the server, trying again: ${why}`);
    },
  };
}
