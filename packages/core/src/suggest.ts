import { distance } from 'fastest-levenshtein';

/** Longer words are never worth comparing with; it also bounds the cost of a hostile input. */
const LONGEST_WORD = 64;

/**
 * The known word that a person most likely meant, or undefined when none is near.
 * Case is ignored. A third of the letters may differ, and two in any word of four or more; letters in another order
 * count as one difference.
 */
export function closest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  const lower = word.toLowerCase();
  const allowed = Math.min(word.length - 1, Math.max(word.length < 4 ? 1 : 2, Math.floor(word.length / 3)));
  let best: string | undefined;
  let bestDistance = allowed + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const candidateDistance = differences(lower, candidate.toLowerCase());
    if (candidateDistance < bestDistance) [best, bestDistance] = [candidate, candidateDistance];
  }
  return best;
}

function differences(left: string, right: string): number {
  if (left.length === right.length && left !== right && letters(left) === letters(right)) return 1;
  return distance(left, right);
}

function letters(word: string): string {
  return word.split('').toSorted().join('');
}

/** `did you mean "x"?`, or undefined when no known word is near. */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const best = closest(word, known);
  return best === undefined ? undefined : `did you mean ${JSON.stringify(best)}?`;
}
