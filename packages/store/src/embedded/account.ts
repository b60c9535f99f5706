import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { EmbeddedPostgresError } from './failure.ts';

/** The operating system user that the server runs as. */
export type Account = { name: string; uid: number; gid: number };

const OWN_ACCOUNT = 'keelson';
const EXISTING_ACCOUNTS = ['postgres', 'nobody'];

/**
 * The account for the server: undefined means "as we are". PostgreSQL refuses to run as root, so root gets the system
 * user `keelson` (created if the system lets us), else an existing unprivileged one.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const existing = findAccount(OWN_ACCOUNT);
  if (existing !== undefined) return existing;
  createAccount(OWN_ACCOUNT);
  for (const name of [OWN_ACCOUNT, ...EXISTING_ACCOUNTS]) {
    const account = findAccount(name);
    if (account !== undefined) return account;
  }
  throw new EmbeddedPostgresError(
    'postgres-user-missing',
    `PostgreSQL does not run as root, and no other user could be found or created: create one with "useradd --system ${OWN_ACCOUNT}"`,
  );
}

/** The options that make `spawn` run a program as `account`. */
export function runAs(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}

/** Whether `account` can pass through every folder above `path`. Access control lists are not looked at. */
export function canReach(account: Account | undefined, path: string): boolean {
  if (account === undefined) return true;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    if (!allows(account, folder, 0o1)) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Whether `account` has the permission bits `wanted` (read 4, write 2, pass or execute 1) on the file itself. */
export function allows(account: Account | undefined, path: string, wanted: number): boolean {
  if (account === undefined) return true;
  const { mode, uid, gid } = statSync(path);
  const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0;
  return ((mode >> shift) & wanted) === wanted;
}

function findAccount(name: string): Account | undefined {
  const line = readPasswd().find((entry) => entry.startsWith(`${name}:`));
  if (line !== undefined) {
    const [, , uid, gid] = line.split(':');
    return { name, uid: Number(uid), gid: Number(gid) };
  }
  // Not a local user; a directory service may know it.
  const id = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { name, uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

function readPasswd(): string[] {
  try {
    return readFileSync('/etc/passwd', 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Tries the shadow tools, then BusyBox. Failure is no error here: another process may have won, or a fallback exists. */
function createAccount(name: string): void {
  const home = ['--home-dir', '/nonexistent', '--no-create-home', '--shell', '/usr/sbin/nologin'];
  const made = spawnSync('useradd', ['--system', '--user-group', ...home, name], { stdio: 'ignore' });
  if (made.status !== 0) spawnSync('adduser', ['-S', '-D', '-H', name], { stdio: 'ignore' });
}
