import { INSTANCE_END_STATES } from '@keelson/core';
import type { InstanceState } from '@keelson/core';
import type pg from 'pg';
import type { InstanceFilter, InstanceSummary } from '../../instances.ts';
import type { Page, PageRequest } from '../../page.ts';
import { pageFrom, parseCursor } from '../connection/cursor.ts';
import { INSTANCE_COLUMNS, INSTANCE_JOINS, summaryFrom } from './instance-rows.ts';
import type { InstanceRow } from './instance-rows.ts';
import { isId } from '../connection/rows.ts';

const NEWER_THAN_ALL = '9223372036854775807';

/** $1 ids below this one, $2 how many, $3 project, $4 workflow; the rest by `criteria`. */
const OF_WORKFLOWS = `(select w.id from workflow w join project p on p.id = w.project_id
                        where ($3::text is null or p.name = $3) and ($4::text is null or w.name = $4))`;

/** What is asked of an instance `i` itself, each with its parameter. Only what is given stands in the text. */
const CRITERIA = {
  ids: (at: string) => `i.id = any(${at}::bigint[])`,
  trigger: (at: string) => `i.trigger = ${at}`,
  createdFrom: (at: string) => `i.created_at >= ${at}`,
  createdTo: (at: string) => `i.created_at < ${at}`,
  runFrom: (at: string) => `i.run_time >= ${at}`,
  runTo: (at: string) => `i.run_time < ${at}`,
} as const satisfies Partial<Record<keyof InstanceFilter, (at: string) => string>>;
const FIRST_CRITERION = 5;

interface Criteria {
  /** `true` when nothing is asked. */
  readonly text: string;
  readonly values: readonly unknown[];
}

function criteriaOf(filter: InstanceFilter): Criteria {
  const asked = { ...filter, ids: filter.ids?.filter(isId) };
  const given = (Object.keys(CRITERIA) as (keyof typeof CRITERIA)[]).flatMap((name) => {
    const value = asked[name];
    return value === undefined ? [] : [{ name, value }];
  });
  const texts = given.map(({ name }, index) => CRITERIA[name](`$${index + FIRST_CRITERION}`));
  return { text: texts.join(' and ') || 'true', values: given.map(({ value }) => value) };
}

const any = (condition: string): string =>
  `select i.id from workflow_instance i where i.id < $1 and ${SAME} and ${condition} order by i.id desc limit $2`;

/**
 * Each workflow's newest first: a seldom run one is found without a walk through everybody's history. The workflow is named by a
 * range and not by an equation, because with an equation PostgreSQL believes the primary key to be as good for the order and
 * walks all of it (500,000 instances: 49 ms instead of 1).
 */
const newestOfWorkflows = (condition: string): string => `
  select i.id from unnest(array${OF_WORKFLOWS}) as w(id)
   cross join lateral (
     select i.id from workflow_instance i where i.workflow_id >= w.id and (i.workflow_id, i.id) < (w.id, $1) and ${condition}
      order by i.workflow_id desc, i.id desc limit $2) i
   order by i.id desc limit $2`;

/** Of the ends `e` of an instance, the one that holds now. */
const isLastEnd = (id: string): string => `not exists (select from live_instance l where l.id = ${id})
   and not exists (select from instance_end n where n.instance_id = ${id} and n.generation > e.generation)`;

/** Of an instance `i`. */
const endedAs = (state: InstanceState): string =>
  `exists (select from instance_end e where e.instance_id = i.id and e.state = '${state}' and ${isLastEnd('i.id')})`;

/** Few enough to look at each. */
function ofIds({ state }: InstanceFilter, condition: string): string {
  const inState =
    state === undefined
      ? 'true'
      : isEnd(state)
        ? endedAs(state)
        : `exists (select from live_instance l where l.id = i.id and l.state = '${state}')`;
  return `select i.id from workflow_instance i where i.id < $1 and i.workflow_id in ${OF_WORKFLOWS} and ${condition} and ${inState}
           order by i.id desc limit $2`;
}

/** The state stands in the text, not in a parameter: the index on unsuccessful ends is for those who name such a state. */
function source(filter: InstanceFilter, condition: string): string {
  const { project, workflow, state } = filter;
  const everywhere = project === undefined && workflow === undefined;
  if (filter.ids !== undefined) return ofIds(filter, condition);
  if (state === undefined) return everywhere ? any(condition) : newestOfWorkflows(condition);
  const plain = condition === 'true';
  if (!isEnd(state)) {
    const fits = plain ? 'true' : `exists (select from workflow_instance i where i.id = l.id and ${condition})`;
    return `select l.id from live_instance l where l.id < $1 and l.state = '${state}' and ${everywhere ? SAME : `l.workflow_id in ${OF_WORKFLOWS}`}
               and ${fits} order by l.id desc limit $2`;
  }
  // Most instances succeed, so a walk through the workflow's own ones soon has a page full.
  if (!everywhere && state === 'succeeded') return newestOfWorkflows(`${condition} and ${endedAs(state)}`);
  const inScope =
    everywhere && plain
      ? SAME
      : `exists (select from workflow_instance i where i.id = e.instance_id and i.workflow_id in ${OF_WORKFLOWS} and ${condition})`;
  return `select e.instance_id as id from instance_end e
           where e.instance_id < $1 and e.state = '${state}' and ${inScope} and ${isLastEnd('e.instance_id')}
           order by e.instance_id desc limit $2`;
}

const SAME = '($3::text is null and $4::text is null)';
const LIVE_STATES: readonly InstanceState[] = ['queued', 'running', 'pausing', 'paused', 'stopping'];

function isEnd(state: InstanceState): boolean {
  const ended = INSTANCE_END_STATES.some((end) => end === state);
  if (!ended && !LIVE_STATES.includes(state))
    throw new RangeError(`there is no instance state ${JSON.stringify(state)}`);
  return ended;
}

export async function listInstances(
  pool: pg.Pool,
  filter: InstanceFilter,
  page: PageRequest,
): Promise<Page<InstanceSummary>> {
  const [below = NEWER_THAN_ALL] = parseCursor(page.cursor, 1, isId) ?? [];
  const { text, values } = criteriaOf(filter);
  const { rows } = await pool.query<InstanceRow>(
    `with page as materialized (${source(filter, text)})
     select ${INSTANCE_COLUMNS} from page join workflow_instance i on i.id = page.id ${INSTANCE_JOINS} order by i.id desc`,
    [below, page.limit + 1, filter.project ?? null, filter.workflow ?? null, ...values],
  );
  return pageFrom(rows, page, summaryFrom, ({ id }) => [id]);
}
