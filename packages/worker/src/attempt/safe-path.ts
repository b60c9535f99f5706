import { AttemptFailure } from './attempt-failure.ts';

/** A relative path that stays below the directory it is joined to, as it came. Throws `unsafe-path`. */
export function safeRelativePath(path: string): string {
  const unsafe =
    path === '' ||
    path.includes('\0') ||
    path.includes('\\') ||
    path.startsWith('/') ||
    path.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (unsafe)
    throw new AttemptFailure(
      'unsafe-path',
      `the file path ${JSON.stringify(path)} is not a plain relative one: the worker writes nothing outside the attempt's directory`,
    );
  return path;
}
