import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../failure.ts';

/** How the other commands find a running `keelson dev`: `<data>/dev.json`, readable by its owner only. */
export interface DevAddress {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
}

const FILE_NAME = 'dev.json';

/** Undefined when there is no such file, or none that can be understood. */
export async function readDevFile(dataDir: string): Promise<DevAddress | undefined> {
  let text: string;
  try {
    text = await readFile(join(dataDir, FILE_NAME), 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
  return parseAddress(text);
}

function parseAddress(text: string): DevAddress | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('url' in value && 'token' in value && 'pid' in value))
      return undefined;
    const { url, token, pid } = value;
    return typeof url === 'string' && typeof token === 'string' && typeof pid === 'number'
      ? { url, token, pid }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a process of that id exists, ours or not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}
