import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { endedTask, sampleInstance, sampleTask } from '../testing/sample-instance.ts';
import { frameLines } from './frame.ts';
import { layoutTree } from './task-tree.ts';

const NOW = Date.parse('2026-01-01T00:00:10Z');
const plainPaint = (_style: unknown, text: string) => text;

function frame(tasks: ReturnType<typeof sampleTask>[], size: { columns?: number; rows?: number } = {}) {
  return frameLines(
    { instance: sampleInstance(tasks), tasks: new Map(tasks.map((task) => [task.task, task])) },
    layoutTree(tasks),
    { now: NOW, paint: plainPaint, ...size },
  );
}

test('the whole tree, with durations, attempts and reasons', () => {
  const lines = frame([
    endedTask('extract', 'succeeded'),
    sampleTask('clean', {
      needs: ['extract'],
      state: 'running',
      attempt: 2,
      maxAttempts: 3,
      startedAt: '2026-01-01T00:00:05Z',
      progress: { fraction: 0.5, message: 'half' },
    }),
    endedTask('enrich', 'failed', { needs: ['extract'], reason: { code: 'exit-code', message: 'exit code 3' } }),
    sampleTask('load', { needs: ['clean', 'enrich'], state: 'delayed', dueAt: '2026-01-01T00:00:12Z' }),
  ]);
  assert.deepEqual(lines, [
    '▶ demo/daily v3  instance 7  running  10.0s',
    '✔ extract    1.5s',
    '├─ ▶ clean   running  5.0s  attempt 2 of 3  50 %  half',
    '│  ◷ load    delayed  starts in 2.0s  (also after enrich)',
    '└─ ✖ enrich  failed  1.5s  exit code 3',
  ]);
});

test('no room: counts, and what fails or runs, within the height and the width', () => {
  const tasks = [
    ...Array.from({ length: 500 }, (_value, index) => sampleTask(`wait${index}`)),
    ...Array.from({ length: 30 }, (_value, index) =>
      sampleTask(`run${index}`, { state: 'running', attempt: 1, startedAt: '2026-01-01T00:00:05Z' }),
    ),
    endedTask('bad', 'failed', { reason: { code: 'exit-code', message: `exit code 3 ${'x'.repeat(200)}` } }),
  ];
  const lines = frame(tasks, { columns: 60, rows: 10 });
  assert.equal(lines.length, 10);
  assert.match(lines[1] ?? '', /531 tasks: 1 failed, 30 running, 500 waiting/);
  assert.match(lines[2] ?? '', /✖ bad {3}failed/);
  assert.match(lines[9] ?? '', /and 24 more of these/);
  assert.ok(lines.every((line) => stripVTControlCharacters(line).length <= 60));
});

test('a message from a server cannot move the cursor', () => {
  const [, line = ''] = frame([
    endedTask('a', 'failed', { reason: { code: 'x', message: 'one\u001b[2J\r\ntwo\u0007' } }),
  ]);
  assert.ok(line.endsWith('one two�'), JSON.stringify(line));
});
