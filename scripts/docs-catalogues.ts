/** Tables of docs/ that list what the code has as data: the error codes, and what each role may do. */
import { PROBLEMS } from '@keelson/protocol';
import { ROLE_PERMISSIONS } from '../packages/server/src/api/http/permissions.ts';
import { markdownTable } from './markdown-table.ts';

export function problemTable(): string {
  const rows = Object.entries(PROBLEMS)
    .toSorted(([, left], [, right]) => left.status - right.status)
    .map(([code, { status, title, advice }]) => [String(status), `\`${code}\``, title, advice]);
  return markdownTable(['status', 'code', 'what it means', 'what to do'], rows);
}

export function permissionTable(): string {
  const roles = Object.entries(ROLE_PERMISSIONS);
  const permissions = new Set(roles.flatMap(([, granted]) => [...granted]));
  const rows = [...permissions].map((permission) => [
    `\`${permission}\``,
    ...roles.map(([, granted]) => (granted.has(permission) ? 'yes' : '')),
  ]);
  return markdownTable(['permission', ...roles.map(([role]) => role)], rows);
}
