import { createWorker } from '@keelson/worker';

/** How long running tasks may go on when dev stops. */
const DRAIN_MS = 10_000;

/** The program of a worker of `dev`: its settings come in the environment, its end with the channel to its parent. */
const settings: unknown = JSON.parse(process.env['KEELSON_DEV_WORKER'] ?? 'null');
const token = process.env['KEELSON_TOKEN'] ?? '';
if (!isSettings(settings) || process.send === undefined) throw new Error('this program is started by keelson dev');
// Tasks must not find it in what they inherit, nor a debugger in what the process shows.
delete process.env['KEELSON_TOKEN'];

const { server, name, slots, dataDir } = settings;
const worker = createWorker({ servers: [server], token, name, group: 'default', slots, dataDir });

let leaving = false;
process.on('disconnect', () => {
  if (leaving) return;
  leaving = true;
  void worker.drain(DRAIN_MS).finally(() => process.exit(0));
});

await worker.start();
process.send('ready');

interface Settings {
  readonly server: string;
  readonly name: string;
  readonly slots: number;
  readonly dataDir: string;
}

function isSettings(value: unknown): value is Settings {
  return (
    typeof value === 'object' &&
    value !== null &&
    'server' in value &&
    'name' in value &&
    'slots' in value &&
    'dataDir' in value &&
    typeof value.server === 'string' &&
    typeof value.name === 'string' &&
    typeof value.slots === 'number' &&
    typeof value.dataDir === 'string'
  );
}
