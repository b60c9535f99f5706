import { createWorker } from '@keelson/worker';

/** How long running tasks may go on when dev stops. */
const DRAIN_MS = 10_000;

/** The program of a worker of `dev`: its settings come in the environment, the wish that it leaves in a message from its parent. */
const settings: unknown = JSON.parse(process.env['KEELSON_DEV_WORKER'] ?? 'null');
const token = process.env['KEELSON_TOKEN'] ?? '';
if (!isSettings(settings) || process.send === undefined) throw new Error('this program is started by keelson dev');
// Tasks must not find it in what they inherit, nor a debugger in what the process shows.
delete process.env['KEELSON_TOKEN'];

const { server, name, slots, dataDir } = settings;
const worker = createWorker({ servers: [server], token, name, group: 'default', slots, dataDir });

process.once('message', () => {
  process.off('disconnect', orphaned);
  void worker.drain(DRAIN_MS).finally(() => process.exit(0));
});
process.once('disconnect', orphaned);
if (!process.connected) orphaned();

/**
 * The server has died with its process: there is nobody to report to, and the next `dev` wants this directory. What runs here dies
 * with this process and is run again.
 */
function orphaned(): void {
  process.exit(1);
}

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
