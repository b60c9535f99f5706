import type { CountedInstance, InstanceDetail, LiveEvent, TaskInstance } from '@keelson/protocol';

/** What is known of an instance while it is watched. */
export interface WatchedInstance {
  readonly instance: CountedInstance;
  /** In the order of the definition. */
  readonly tasks: ReadonlyMap<string, TaskInstance>;
}

export interface InstanceModel {
  /** Undefined before the first snapshot. */
  current(): WatchedInstance | undefined;
  /** Takes an event in; gives the tasks that changed. */
  take(event: LiveEvent): TaskInstance[];
}

/** Follows the events of one instance. A new snapshot after a broken stream says again what is known: only changes come out. */
export function instanceModel(): InstanceModel {
  let instance: CountedInstance | undefined;
  const tasks = new Map<string, TaskInstance>();

  const changed = (task: TaskInstance): boolean => {
    const before = tasks.get(task.task);
    tasks.set(task.task, task);
    return before === undefined
      ? task.state !== 'waiting'
      : before.state !== task.state || before.attempt !== task.attempt || before.generation !== task.generation;
  };

  return {
    current: () => (instance === undefined ? undefined : { instance, tasks }),
    take(event) {
      if (event.event === 'task') return changed(event.data) ? [event.data] : [];
      instance = event.data;
      if (event.event !== 'snapshot') return [];
      return event.data.tasks.filter(changed);
    },
  };
}

/** How many tasks are in each state, from the tasks themselves. */
export function countStates(
  tasks: Iterable<Pick<TaskInstance, 'state'>>,
): Partial<Record<TaskInstance['state'], number>> {
  const counts: Partial<Record<TaskInstance['state'], number>> = {};
  for (const { state } of tasks) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

export function watchedOf(detail: InstanceDetail): WatchedInstance {
  return { instance: detail, tasks: new Map(detail.tasks.map((task) => [task.task, task])) };
}
