/** A process that owns a launcher and one task, for tests that kill or stop it: `launcher-owner.ts DATADIR LEASE_MS CODE`. */
import { openDataDir } from '../data-dir/data-dir.ts';
import { startLauncher } from '../launcher/client.ts';
import { machineNow } from '../launcher/messages.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../log/output-limit.ts';

const [dataDir = '', leaseMs = '', code = ''] = process.argv.slice(2);
const { id } = await openDataDir(dataDir, () => undefined);
const launcher = startLauncher({ dataDir, dataDirId: id, limits: DEFAULT_OUTPUT_LIMITS });
const renew = (): void => launcher.setDeadline(machineNow() + Number(leaseMs));
renew();
setInterval(renew, Number(leaseMs) / 4);
const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };
launcher.run(
  { argv: ['sh', '-c', code], cwd: dataDir, env },
  { write: (chunk) => process.stdout.write(Buffer.from(chunk)), gap: () => undefined },
);
