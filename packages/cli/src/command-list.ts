import type { CommandEntry } from './command.ts';

/** In the order of the help: how a person comes to use them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'dev',
    summary: 'run everything on this machine, on an embedded real PostgreSQL',
    load: () => import('./commands/dev.ts'),
  },
  { name: 'lint', summary: 'check workflow definitions, without a server', load: () => import('./commands/lint.ts') },
  { name: 'plan', summary: 'say what an apply would change', load: () => import('./commands/plan.ts') },
  { name: 'apply', summary: 'publish workflow definitions, all or nothing', load: () => import('./commands/apply.ts') },
  { name: 'workflows', summary: 'list the workflows', load: () => import('./commands/workflows.ts') },
  {
    name: 'delete',
    summary: 'delete a workflow with its schedules',
    load: () => import('./commands/delete.ts'),
  },
  {
    name: 'run',
    summary: 'start a workflow instance, and perhaps watch it to its end',
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'instances',
    summary: 'list workflow instances, newest first',
    load: () => import('./commands/instances.ts'),
  },
  {
    name: 'show',
    summary: 'show an instance with its tasks, attempts and outputs',
    load: () => import('./commands/show.ts'),
  },
  { name: 'logs', summary: "print or follow a task's log", load: () => import('./commands/logs.ts') },
  {
    name: 'artifacts',
    summary: 'list or save the files that a task made',
    load: () => import('./commands/artifacts.ts'),
  },
  { name: 'why', summary: 'say why tasks wait, failed or were skipped', load: () => import('./commands/why.ts') },
  { name: 'pause', summary: 'pause instances', load: () => import('./commands/pause.ts') },
  { name: 'resume', summary: 'let paused instances go on', load: () => import('./commands/resume.ts') },
  { name: 'stop', summary: 'stop instances', load: () => import('./commands/stop.ts') },
  {
    name: 'rerun',
    summary: 'run ended instances again: all, from a task on, or one task',
    load: () => import('./commands/rerun.ts'),
  },
  {
    name: 'recover',
    summary: 'run again what failed or never ran of ended instances',
    load: () => import('./commands/recover.ts'),
  },
  { name: 'skip', summary: 'skip tasks that have not started', load: () => import('./commands/skip.ts') },
  {
    name: 'force-success',
    summary: 'count failed tasks as succeeded, and go on',
    load: () => import('./commands/force-success.ts'),
  },
  { name: 'priority', summary: 'change the priority of instances', load: () => import('./commands/priority.ts') },
  {
    name: 'schedule',
    summary: 'preview, list, pause and resume schedules, and say what became of their times',
    load: () => import('./commands/schedule.ts'),
  },
  {
    name: 'calendar',
    summary: 'set, list, show and delete sets of days without fires',
    load: () => import('./commands/calendar.ts'),
  },
  {
    name: 'backfill',
    summary: 'run a workflow for dates that are past; show, pause, resume, cancel that',
    load: () => import('./commands/backfill.ts'),
  },
  { name: 'backfills', summary: 'list backfills, newest first', load: () => import('./commands/backfills.ts') },
  { name: 'secret', summary: 'set, list and delete secrets of a project', load: () => import('./commands/secret.ts') },
  {
    name: 'datasource',
    summary: 'set, list, test and delete datasources of a project',
    load: () => import('./commands/datasource.ts'),
  },
  {
    name: 'params',
    summary: "set, list and delete a project's parameter values",
    load: () => import('./commands/params.ts'),
  },
  { name: 'nodes', summary: 'list servers and workers', load: () => import('./commands/nodes.ts') },
  {
    name: 'groups',
    summary: 'list worker groups and set their leases',
    load: () => import('./commands/groups.ts'),
  },
  { name: 'token', summary: 'create, list and revoke access tokens', load: () => import('./commands/token.ts') },
  { name: 'doctor', summary: 'look for rows that break an invariant', load: () => import('./commands/doctor.ts') },
  {
    name: 'retention',
    summary: 'show and set how long what is kept; remove what is past its time',
    load: () => import('./commands/retention.ts'),
  },
  {
    name: 'verify',
    summary: 'compare the stored history with the rows',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'schema',
    summary: 'print the JSON Schema of workflow definitions',
    load: () => import('./commands/schema.ts'),
  },
  {
    name: 'serve',
    summary: 'run server roles (api, master, alert) on a PostgreSQL',
    load: () => import('./commands/serve.ts'),
  },
  { name: 'worker', summary: 'run a worker', load: () => import('./commands/worker.ts') },
  {
    name: 'migrate',
    summary: 'bring the schema of a database up to date',
    load: () => import('./commands/migrate.ts'),
  },
];
