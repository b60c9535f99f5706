/** The house rules that the linter cannot express: who may import whom across files, and habits of naming and size. */
import { fileURLToPath } from 'node:url';
import { crossings, impurities } from './structure/boundaries.ts';
import { badHabits } from './structure/habits.ts';
import { readSourceFiles } from './structure/source-files.ts';

const files = readSourceFiles(fileURLToPath(new URL('..', import.meta.url)));
const violations = [...crossings(files), ...impurities(files), ...badHabits(files)];
for (const { path, line, message } of violations) console.error(`${path}:${line}: ${message}`);
console.log(`structure: ${files.length} files, ${violations.length} violations`);
if (violations.length > 0) process.exitCode = 1;
