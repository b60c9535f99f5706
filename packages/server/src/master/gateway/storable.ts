/**
 * The same text with what PostgreSQL's jsonb cannot hold (NUL, halves of surrogate pairs) replaced by U+FFFD. Our own workers never send
 * such text; another one's report must not be lost for it.
 */
export function storableText(text: string): string {
  return text.includes('\0') || !text.isWellFormed() ? text.toWellFormed().replaceAll('\0', '\uFFFD') : text;
}
