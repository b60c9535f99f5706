import type { Instance, TaskInstance } from '@keelson/protocol';
import type { Paint, Style } from './terminal.ts';

type State = Instance['state'] | TaskInstance['state'];

const LOOKS: Readonly<Record<State, { readonly symbol: string; readonly style: Style }>> = {
  queued: { symbol: '◷', style: 'yellow' },
  waiting: { symbol: '·', style: 'dim' },
  delayed: { symbol: '◷', style: 'yellow' },
  ready: { symbol: '○', style: 'cyan' },
  dispatched: { symbol: '◌', style: 'cyan' },
  running: { symbol: '▶', style: 'blue' },
  pausing: { symbol: '‖', style: 'yellow' },
  paused: { symbol: '‖', style: 'yellow' },
  stopping: { symbol: '■', style: 'yellow' },
  stopped: { symbol: '■', style: 'yellow' },
  succeeded: { symbol: '✔', style: 'green' },
  failed: { symbol: '✖', style: 'red' },
  skipped: { symbol: '↷', style: 'dim' },
  lost: { symbol: '?', style: 'red' },
};

export function stateSymbol(state: State, paint: Paint): string {
  return paint(LOOKS[state].style, LOOKS[state].symbol);
}

export function stateText(state: State, paint: Paint): string {
  return paint(LOOKS[state].style, state);
}

const ENDED: ReadonlySet<State> = new Set<State>(['succeeded', 'failed', 'skipped', 'stopped', 'lost']);

/** Whether an instance or a task in this state has ended. */
export function hasEnded(state: State): boolean {
  return ENDED.has(state);
}

/** `3 succeeded, 1 running, 12 waiting`, what needs attention first. */
export function countsText(counts: Readonly<Partial<Record<TaskInstance['state'], number>>>, paint: Paint): string {
  const order: TaskInstance['state'][] = [
    'failed',
    'lost',
    'stopped',
    'running',
    'dispatched',
    'ready',
    'delayed',
    'succeeded',
    'skipped',
    'waiting',
  ];
  const parts = order
    .filter((state) => (counts[state] ?? 0) > 0)
    .map((state) => paint(LOOKS[state].style, `${counts[state]} ${state}`));
  return parts.join(', ');
}
