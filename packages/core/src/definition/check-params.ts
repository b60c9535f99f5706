import type { ValuePath } from '../expression/evaluate.ts';
import { expressionRefs } from '../expression/compile.ts';
import { expressionsIn, templatesIn } from '../expression/evaluate.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import { checkTemplate } from './check-expressions.ts';
import { paramSchema } from './file-schema.ts';
import type { ParamDefinition } from './model.ts';
import { checkIdentifier } from './names.ts';
import { checkParamValue } from './param-value.ts';
import type { Report } from './report.ts';
import { readBySchema } from './schema-issues.ts';
import { withoutExtensions } from './extensions.ts';

/** Reads and checks the `params` section. A parameter with a mistake is left out of the result. */
export function readParams(section: Readonly<Record<string, unknown>>, report: Report): Map<string, ParamDefinition> {
  const params = new Map<string, ParamDefinition>();
  for (const [name, raw] of Object.entries(section)) {
    const path = ['params', name];
    checkIdentifier(name, 'a parameter', path, report);
    const file = readBySchema(paramSchema, withoutExtensions(raw), path, report);
    if (file === undefined) continue;
    const definition: ParamDefinition = {
      type: file.type,
      ...(file.default !== undefined && { default: file.default }),
      ...(file.enum !== undefined && { enum: file.enum }),
      ...(file.title !== undefined && { title: file.title }),
      ...(file.description !== undefined && { description: file.description }),
    };
    params.set(name, definition);
    checkEnum(definition, path, report);
    checkDefault(definition, path, report);
  }
  return params;
}

function checkEnum({ type, enum: allowed }: ParamDefinition, path: ValuePath, report: Report): void {
  for (const [index, value] of (allowed ?? []).entries()) {
    const reading = checkParamValue(value, { type });
    if (!reading.ok)
      report.add({
        code: 'bad-enum',
        path: [...path, 'enum', index],
        message: `each value of enum ${reading.message}`,
      });
  }
}

/** The instance's id is chosen by the commit that stores the parameters. */
function checkNoInstanceId(text: string, path: ValuePath, report: Report): void {
  if (!readsInstanceId(text)) return;
  report.add({
    code: 'unknown-variable',
    path,
    message: 'the default of a parameter cannot read run.id: the instance gets its id after its parameters',
    suggestion: 'read run.id in the task that needs it',
  });
}

function readsInstanceId(template: string): boolean {
  try {
    return [...expressionsIn(template)].some((text) => expressionRefs(text).run.includes('id'));
  } catch (error) {
    // Reported where the expression itself is checked.
    if (error instanceof ExpressionError) return false;
    throw error;
  }
}

function checkDefault(definition: ParamDefinition, path: ValuePath, report: Report): void {
  const value = definition.default;
  if (value === undefined) return;
  const templates = [...templatesIn(value)];
  for (const template of templates) {
    const access = { subject: 'the default of a parameter', params: undefined, tasks: undefined, secrets: false };
    const where = [...path, 'default', ...template.path];
    checkTemplate(template.text, where, access, report);
    checkNoInstanceId(template.text, where, report);
  }
  if (templates.length > 0) return;
  const reading = checkParamValue(value, definition);
  if (!reading.ok)
    report.add({
      code: reading.code === 'bad-param' ? 'bad-default' : reading.code,
      path: [...path, 'default'],
      message: `the default ${reading.message}`,
    });
}
