import { resolve } from 'node:path';
import type { KeelsonClient } from '@keelson/sdk/client';
import { createClient } from '@keelson/sdk/client';
import { EXIT } from '../exit-codes.ts';
import { CliFailure, systemErrorCode, usageFailure } from '../failure.ts';
import type { Terminal } from '../terminal/terminal.ts';
import type { DevAddress } from './dev-file.ts';
import { isRunning, readDevFile } from './dev-file.ts';

export const DEFAULT_DATA_DIR = '.keelson';

export interface ConnectOptions {
  /** The data directory of the `dev` to look for. */
  readonly data?: string;
}

/** KEELSON_URL and KEELSON_TOKEN, else the `dev` that runs with the same data directory. Nothing is sent yet. */
export async function connect(
  terminal: Pick<Terminal, 'env' | 'cwd'>,
  options: ConnectOptions = {},
): Promise<KeelsonClient> {
  const { url, token } = await findServer(terminal, options);
  try {
    return createClient({ url, token });
  } catch (error) {
    if (error instanceof TypeError) throw usageFailure(`KEELSON_URL: ${error.message}`);
    throw error;
  }
}

export async function findServer(
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
  { data }: ConnectOptions,
): Promise<{ url: string; token: string }> {
  const url = env['KEELSON_URL'];
  const token = env['KEELSON_TOKEN'];
  if (given(url) && given(token)) return { url, token };
  const dataDir = resolve(cwd, data ?? DEFAULT_DATA_DIR);
  const dev = await readRunningDev(dataDir);
  if (given(url)) {
    if (dev !== undefined && sameOrigin(dev.url, url)) return { url, token: dev.token };
    throw new CliFailure('no-token', 'KEELSON_URL is set, but KEELSON_TOKEN is not', {
      exitCode: EXIT.refused,
      advice: 'an admin makes a token with `keelson token create --role operator`',
    });
  }
  if (dev !== undefined) return { url: dev.url, token: given(token) ? token : dev.token };
  throw new CliFailure(
    'no-server',
    `no Keelson is known: KEELSON_URL is not set, and no \`keelson dev\` runs with ${dataDir}`,
    {
      exitCode: EXIT.unreachable,
      advice: 'start one with `keelson dev`, or set KEELSON_URL and KEELSON_TOKEN',
    },
  );
}

async function readRunningDev(dataDir: string): Promise<DevAddress | undefined> {
  try {
    const dev = await readDevFile(dataDir);
    return dev !== undefined && isRunning(dev.pid) ? dev : undefined;
  } catch (error) {
    throw new CliFailure(
      'dev-file-unreadable',
      `the address of the \`keelson dev\` in ${dataDir} cannot be read (${systemErrorCode(error) ?? String(error)})`,
      {
        exitCode: EXIT.unreachable,
        advice: 'run this command as the user who runs it, or set KEELSON_URL and KEELSON_TOKEN',
      },
    );
  }
}

function given(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

function sameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}
