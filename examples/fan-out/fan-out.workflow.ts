import { workflow } from '@keelson/sdk';
import type { TaskSource } from '@keelson/sdk';

/**
 * 1 → 200 → 1: `plan` cuts the numbers up to `upTo` into 200 pieces, 200 tasks count the primes of a piece each, `total` adds up
 * and checks that no number was left out. A workflow module is plain TypeScript: it runs once, at `apply`, and what it builds
 * is the same object that YAML would have been.
 */
const PIECES = 200;
const ids = Array.from({ length: PIECES }, (_, index) => `piece_${String(index).padStart(3, '0')}`);

const countPrimes = String.raw`
awk -v index_="$INDEX" -v size="$SIZE" -v up_to="$UP_TO" 'BEGIN {
  from = index_ * size + 1
  to = from + size - 1 < up_to ? from + size - 1 : up_to
  for (n = from; n <= to; n++) {
    numbers++
    prime = n > 1
    for (d = 2; d * d <= n && prime; d++) if (n % d == 0) prime = 0
    primes += prime
  }
  printf "numbers:=%d\nprimes:=%d\n", numbers, primes
}' | tee -a "$KEELSON_OUTPUT"`;

const addUp = `export default ({ args: { pieces, upTo }, log }) => {
  const sum = (key) => pieces.reduce((total, piece) => total + piece[key], 0);
  if (sum('numbers') !== upTo) throw new Error(\`\${sum('numbers')} numbers were looked at, not \${upTo}\`);
  log(\`\${sum('primes')} primes up to \${upTo}\`);
  return { pieces: pieces.length, primes: sum('primes') };
};`;

const tasks: Record<string, TaskSource> = {
  plan: {
    run: `echo "size:=$(((UP_TO + ${PIECES} - 1) / ${PIECES}))" | tee -a "$KEELSON_OUTPUT"`,
    env: { UP_TO: '${{ params.upTo }}' },
  },
};
for (const [index, id] of ids.entries()) {
  tasks[id] = {
    needs: ['plan'],
    run: countPrimes,
    env: { INDEX: index, SIZE: '${{ tasks.plan.outputs.size }}', UP_TO: '${{ params.upTo }}' },
  };
}
tasks['total'] = {
  needs: ids,
  uses: 'node',
  // A value that is one expression keeps its type: each piece comes as an object of numbers.
  with: { script: addUp, args: { upTo: '${{ params.upTo }}', pieces: ids.map((id) => `\${{ tasks.${id}.outputs }}`) } },
};

export default workflow({
  name: 'fan-out',
  title: 'Count primes in 200 pieces at the same time',
  params: { upTo: { type: 'integer', default: 100_000 } },
  defaults: { timeout: '1m' },
  tasks,
});
