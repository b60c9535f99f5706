import { fileURLToPath } from 'node:url';

/** A definition, and what the checker has to know of it. */
export interface Shape {
  readonly name: string;
  readonly tasks: Readonly<Record<string, ShapeTask>>;
  /** How often it is drawn, against the others. */
  readonly weight: number;
}

export interface ShapeTask {
  readonly needs: readonly string[];
  readonly broadcast: boolean;
  readonly definition: object;
}

export interface ShapeSettings {
  readonly ledger: string;
}

const SCRIPT = fileURLToPath(new URL('./task.sh', import.meta.url));
/** Names and ages a run; the server ignores a parameter that no task uses. */
const MARK = { mark: { type: 'string', default: '' } };

type Needs = readonly string[];

/** Every workflow of the load, by its name. */
export function shapes(settings: ShapeSettings): Shape[] {
  const { shell, processor } = taskMakers(settings);
  return [
    shape(
      'chain',
      5,
      row(5, (needs) => shell(0, needs)),
    ),
    shape(
      'fan',
      3,
      fan(6, (needs) => shell(0, needs)),
    ),
    shape('diamond', 4, {
      a: shell(0.1),
      b: shell(0.4, ['a']),
      c: processor(600, ['a']),
      d: shell(0, ['b', 'c']),
    }),
    shape('retries', 3, {
      steady: shell(0),
      shaky: shell(0.1, ['steady'], { code: 7, until: 2 }),
      after: processor(0, ['shaky']),
    }),
    // Nearly as long as a lease: who is handed out before the lease has ended meets the one before.
    shape('long', 3, { first: shell(9), second: shell(1.5, ['first']), third: processor(0, ['second']) }),
    shape(
      'processors',
      5,
      row(6, (needs) => processor(0, needs)),
    ),
    shape('sleepers', 2, { a: processor(8000), b: processor(1000, ['a']), c: shell(0, ['b']) }),
    shape('files', 2, { make: loud(settings), take: shell(0, ['make']) }),
    broadcastShape(settings),
  ];
}

function shape(name: string, weight: number, tasks: Record<string, ShapeTask>): Shape {
  return { name, weight, tasks };
}

/** The definition as it is published. */
export function definitionOf({ name, tasks }: Shape): object {
  return {
    name,
    params: MARK,
    // A disk that is full or a blob store that is away fails an attempt for reasons of its own: it may try again.
    defaults: { retry: { max: 12, delay: '500ms' }, timeout: '5m', onLost: { retry: 50 } },
    tasks: Object.fromEntries(Object.entries(tasks).map(([id, { definition }]) => [id, definition])),
  };
}

interface Ends {
  readonly code: number;
  readonly until: number;
}

function taskMakers({ ledger }: ShapeSettings) {
  const task = (needs: Needs, definition: object): ShapeTask => ({
    needs,
    broadcast: false,
    definition: { ...(needs.length > 0 && { needs }), ...definition },
  });
  return {
    shell: (seconds: number, needs: Needs = [], { code, until }: Ends = { code: 0, until: 0 }): ShapeTask =>
      task(needs, {
        run: 'exec bash "$SCRIPT" "$SECONDS_LONG" "$CODE" "$UNTIL"',
        env: {
          SCRIPT,
          LEDGER: ledger,
          SECONDS_LONG: seconds.toFixed(1),
          CODE: String(code),
          UNTIL: String(until),
        },
      }),
    processor: (ms: number, needs: Needs = []): ShapeTask =>
      task(needs, { uses: 'processor', with: { processor: 'work', args: { ledger, ms } } }),
  };
}

/** Prints 200 kB and leaves an artifact: logs and blobs have something to hold. */
function loud({ ledger }: ShapeSettings): ShapeTask {
  const run = `printf '%0200000d\\n' 7
printf '%0100000d\\n' "$KEELSON_ATTEMPT" > "$KEELSON_OUTPUT_DIR/result"
exec bash "$SCRIPT" 0.2 0`;
  return { needs: [], broadcast: false, definition: { run, env: { SCRIPT, LEDGER: ledger } } };
}

/** Numbered tasks, each after the one before. */
function row(length: number, make: (needs: Needs) => ShapeTask): Record<string, ShapeTask> {
  const ids = Array.from({ length }, (_, index) => `t${index + 1}`);
  return Object.fromEntries(ids.map((id, index) => [id, make(ids.slice(Math.max(0, index - 1), index))]));
}

function fan(width: number, make: (needs: Needs) => ShapeTask): Record<string, ShapeTask> {
  const between = Array.from({ length: width }, (_, index) => `f${index + 1}`);
  return {
    first: make([]),
    ...Object.fromEntries(between.map((id) => [id, make(['first'])])),
    last: make(between),
  };
}

/** Runs once on every shell worker; any number of them may fail or be lost, so that the instance succeeds. */
function broadcastShape({ ledger }: ShapeSettings): Shape {
  const env = { SCRIPT, LEDGER: ledger };
  const everywhere: ShapeTask = {
    needs: ['ready'],
    broadcast: true,
    definition: {
      needs: ['ready'],
      mode: 'broadcast',
      run: 'exec bash "$SCRIPT" 0.5 0',
      env,
      broadcast: { maxFailed: 1000 },
    },
  };
  const run = (needs: Needs): ShapeTask => ({
    needs,
    broadcast: false,
    definition: { ...(needs.length > 0 && { needs }), run: 'exec bash "$SCRIPT" 0.0 0', env },
  });
  return shape('broadcast', 2, { ready: run([]), everywhere, done: run(['everywhere']) });
}
