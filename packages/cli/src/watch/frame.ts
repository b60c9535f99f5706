import type { TaskInstance } from '@keelson/protocol';
import truncate from 'cli-truncate';
import { countsText, stateSymbol, stateText } from '../terminal/states.ts';
import type { Paint } from '../terminal/terminal.ts';
import { counted, elapsedText } from '../terminal/text.ts';
import type { WatchedInstance } from './instance-model.ts';
import { countStates } from './instance-model.ts';
import { taskLine } from './task-line.ts';
import type { TreeRow } from './task-tree.ts';

export interface FrameOptions {
  readonly now: number;
  readonly paint: Paint;
  /** Undefined: as wide as it gets. */
  readonly columns?: number | undefined;
  /** Lines at most. Undefined: all. */
  readonly rows?: number | undefined;
}

/** Below this a tree would show nothing. */
const FEWEST_ROWS = 4;
const WIDEST_NAME = 32;

/** A picture of an instance: the whole tree of its tasks, or what matters of it when there is no room. */
export function frameLines(watched: WatchedInstance, tree: readonly TreeRow[], options: FrameOptions): string[] {
  const rows = options.rows === undefined ? Number.POSITIVE_INFINITY : Math.max(options.rows, FEWEST_ROWS);
  const head = headLine(watched, options);
  const body = tree.length + 1 <= rows ? treeLines(watched, tree, options) : collapsedLines(watched, rows - 1, options);
  const lines = [head, ...body];
  return options.columns === undefined ? lines : lines.map((line) => truncate(line, options.columns ?? 80));
}

export function headLine({ instance }: WatchedInstance, { now, paint }: FrameOptions): string {
  const passed = (instance.endedAt === null ? now : Date.parse(instance.endedAt)) - Date.parse(instance.begunAt);
  const name = paint('bold', `${instance.project}/${instance.workflow}`);
  const again = instance.generation > 1 ? ` generation ${instance.generation}` : '';
  return `${stateSymbol(instance.state, paint)} ${name} ${paint('dim', `v${instance.version}`)}  instance ${instance.id}${again}  ${stateText(instance.state, paint)}  ${elapsedText(passed)}`;
}

function treeLines({ tasks }: WatchedInstance, tree: readonly TreeRow[], options: FrameOptions): string[] {
  const width = Math.min(WIDEST_NAME, Math.max(0, ...tree.map(({ task, prefix }) => task.length + prefix.length)));
  return tree.flatMap(({ task, prefix, alsoNeeds }) => {
    const known = tasks.get(task);
    if (known === undefined) return [];
    const line = taskLine(known, { ...options, width: width - prefix.length });
    const also =
      alsoNeeds.length === 0
        ? ''
        : options.paint(
            'dim',
            `  (also after ${alsoNeeds.length > 3 ? counted(alsoNeeds.length, 'more task') : alsoNeeds.join(', ')})`,
          );
    return [`${options.paint('dim', prefix)}${line}${also}`];
  });
}

const MATTERS: readonly TaskInstance['state'][] = ['failed', 'lost', 'running', 'dispatched', 'delayed', 'stopped'];

/** Counts, then failed and running tasks as far as there is room. */
function collapsedLines({ tasks }: WatchedInstance, room: number, options: FrameOptions): string[] {
  const all = [...tasks.values()];
  const counts = `  ${counted(all.length, 'task')}: ${countsText(countStates(all), options.paint)}`;
  const matter = MATTERS.flatMap((state) => all.filter((task) => task.state === state));
  const fits = matter.length + 1 <= room;
  const shown = fits ? matter : matter.slice(0, room - 2);
  const width = Math.min(WIDEST_NAME, Math.max(0, ...shown.map(({ task }) => task.length)));
  const more = fits ? [] : [options.paint('dim', `  … and ${matter.length - shown.length} more of these`)];
  return [counts, ...shown.map((task) => `  ${taskLine(task, { ...options, width })}`), ...more];
}
