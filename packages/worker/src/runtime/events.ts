import { EventEmitter } from 'node:events';
import type { AttemptEndKind } from '../attempt/end.ts';

export interface WorkerEventMap {
  /** A registration succeeded: the worker may be given tasks. */
  registered: [{ readonly incarnation: string; readonly leaseMs: number }];
  'attempt-ended': [{ readonly instanceId: string; readonly task: string; readonly end: AttemptEndKind }];
  'lease-lost': [{ readonly why: string }];
  /** The worker has said goodbye and runs nothing. */
  left: [];
}

export type WorkerEvents = EventEmitter<WorkerEventMap>;

export function createEvents(): WorkerEvents {
  return new EventEmitter<WorkerEventMap>();
}
