const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

/** `2d`, `1h30m`, `15m`, `10s`, `500ms`: whole numbers, larger units first. Anchored, so that a JSON Schema can carry it. */
export const DURATION_PATTERN = /^(?=\d)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?$/;

/** Ten years. Nothing that a scheduler waits for is longer, and sums of such values stay exact. */
export const MAX_DURATION_MS = 3_650 * 86_400_000;

/** Milliseconds of a duration such as `1h30m`; undefined when the text is none, or is longer than ten years. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION_PATTERN.exec(text);
  if (!match) return undefined;
  const total = UNITS.reduce((sum, [, unitMs], index) => sum + Number(match[index + 1] ?? 0) * unitMs, 0);
  return total <= MAX_DURATION_MS ? total : undefined;
}

/** The shortest text that `parseDuration` reads back as the same number: 5400000 → `1h30m`. Takes whole milliseconds from 0. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = '';
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text === '' ? '0s' : text;
}
