import type { CompiledExpression } from '../expression/compile.ts';
import { compileExpression } from '../expression/compile.ts';
import type { ValuePath } from '../expression/evaluate.ts';
import { compileCondition } from '../expression/evaluate.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import { parseTemplate } from '../expression/template.ts';
import { didYouMean } from '../suggest.ts';
import type { Report } from './report.ts';

/** What the expressions at one place may read. */
export interface ExpressionAccess {
  /** `if`, `env`, …: the place, for the message. */
  readonly subject: string;
  /** The declared parameters; undefined where `params` cannot be read at all. */
  readonly params: ReadonlyMap<string, unknown> | undefined;
  /** How a reference to a task is judged; undefined where `tasks` cannot be read at all. */
  readonly tasks: ((task: string, path: ValuePath) => void) | undefined;
  readonly secrets: boolean;
}

/** Checks the `${{ }}` in one string. */
export function checkTemplate(text: string, path: ValuePath, access: ExpressionAccess, report: Report): void {
  reportingErrors(path, report, () => {
    for (const part of parseTemplate(text)) {
      if (part.kind === 'expression')
        reportingErrors(path, report, () => checkRefs(compileExpression(part.text), path, access, report));
    }
  });
}

/** Checks a bare condition. */
export function checkCondition(text: string, path: ValuePath, access: ExpressionAccess, report: Report): void {
  const wrapped = /^\s*\$\{\{([\s\S]*)\}\}\s*$/.exec(text)?.[1]?.trim();
  if (wrapped !== undefined || text.includes('${{')) {
    report.add({
      code: 'bare-expression',
      path,
      message: '"if" is an expression as it stands, without "${{ }}"',
      suggestion: wrapped === undefined ? 'leave "${{" and "}}" out' : `if: ${JSON.stringify(wrapped)}`,
    });
    return;
  }
  reportingErrors(path, report, () => checkRefs(compileCondition(text), path, access, report));
}

function reportingErrors(path: ValuePath, report: Report, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    report.add({
      code: error.code,
      path,
      message: `${error.message}${shownPlace(error)}`,
      suggestion: error.suggestion,
    });
  }
}

/** Names the expression, and the column in it when it is not the first. */
function shownPlace({ expression, position }: ExpressionError): string {
  const text = expression.length > 80 ? `${expression.slice(0, 77)}…` : expression;
  return ` (in ${JSON.stringify(text)}${position > 0 ? `, at character ${position + 1}` : ''})`;
}

function checkRefs(
  { text, refs }: CompiledExpression,
  path: ValuePath,
  access: ExpressionAccess,
  report: Report,
): void {
  const refuse = (code: string, message: string, suggestion?: string): void =>
    report.add({ code, path, message: `${message} (in ${JSON.stringify(text)})`, suggestion });
  if (access.params === undefined) {
    if (refs.params.length > 0 || refs.allParams)
      refuse('params-not-allowed', `${access.subject} cannot read params: only run is known there`);
  } else {
    for (const name of refs.params) {
      if (!access.params.has(name))
        refuse(
          'unknown-param',
          `there is no parameter ${JSON.stringify(name)}`,
          didYouMean(name, access.params.keys()) ?? `declare it: params: { ${name}: { type: string } }`,
        );
    }
  }
  for (const task of refs.tasks) {
    if (access.tasks === undefined) refuse('tasks-not-allowed', `${access.subject} cannot read tasks`);
    else access.tasks(task, path);
  }
  if (refs.secrets.length > 0 && !access.secrets) {
    refuse(
      'secret-not-allowed',
      `${access.subject} cannot read secrets: only env and the fields that a task type marks as secret can`,
      `env: { ${refs.secrets[0] ?? 'NAME'}: "\${{ secrets.${refs.secrets[0] ?? 'NAME'} }}" }`,
    );
  }
}
