/** What pg itself uses to turn a parameter into what it sends; it ships no types for it. */
declare module 'pg/lib/utils.js' {
  const values: { prepareValue(value: unknown): string | Buffer | null };
  export default values;
}
