/**
 * An expression that cannot be read or cannot be evaluated. `code` is stable: `expression-syntax`, `unknown-variable`,
 * `unknown-function`, `expression-type`, `missing-value`, `not-boolean`, …
 */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
  readonly code: string;
  /** The expression's own text, without `${{ }}`. */
  readonly expression: string;
  /** 0-based offset into `expression`. */
  readonly position: number;
  readonly suggestion?: string;

  constructor(code: string, message: string, expression: string, position: number, suggestion?: string) {
    super(message);
    this.code = code;
    this.expression = expression;
    this.position = position;
    if (suggestion !== undefined) this.suggestion = suggestion;
  }
}
