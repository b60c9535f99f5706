import type { FailureReason } from '@keelson/tasks';

/** Something of the worker's own kept an attempt from going on; its reason is for the person who reads it. */
export class AttemptFailure extends Error {
  readonly reason: FailureReason;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'AttemptFailure';
    this.reason = { code, message };
  }
}

const STORAGE_CODES: Readonly<Record<string, string>> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EACCES: 'directory-not-writable',
  EPERM: 'directory-not-writable',
  EROFS: 'directory-not-writable',
};

/** The failure behind an error of the file system: a full disk and an unwritable directory have codes of their own. */
export function storageFailure(error: unknown, doing: string): AttemptFailure {
  if (error instanceof AttemptFailure) return error;
  const errno = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const text = error instanceof Error ? error.message : String(error);
  return new AttemptFailure(STORAGE_CODES[errno] ?? 'storage-error', `the worker failed while ${doing}: ${text}`);
}
