/** The fields of each task type's `with`, from the schemas that `keelson lint` and the workers read by. */
import { taskTypes } from '@keelson/tasks';
import type { TaskType } from '@keelson/tasks';
import { z } from 'zod';
import { markdownTable } from './markdown-table.ts';

/** The part of JSON Schema that the schemas of task types use. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly { readonly required: readonly string[] }[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly pattern?: string;
  readonly $ref?: string;
}

const EXPRESSION = /^\\\$\\\{/;
const DURATION = /^\^\(\?=\\d\)/;
const WORDS: Readonly<Record<string, string>> = { string: 'text', object: 'map', array: 'list' };

/** Name of the task type → its summary and the table of its fields. */
export function taskTypeFields(): Record<string, string> {
  return Object.fromEntries([...taskTypes.values()].map((type) => [type.name, fieldsOf(type)]));
}

function fieldsOf(type: TaskType): string {
  const schema = z.toJSONSchema(type.input, { io: 'input', unrepresentable: 'any' }) as Schema;
  const marks = new Map<string, string>([
    ...type.code.map(({ path }): [string, string] => [path, 'Executed: no `${{ }}`.']),
    ...type.moduleFields.map((path): [string, string] => [path, 'Bundled by `apply`: no `${{ }}`.']),
    ...type.secretFields.map((path): [string, string] => [path.replace(/\.\*$/, ''), 'May read `secrets`.']),
  ]);
  const table = markdownTable(['field', 'type', 'default', 'meaning'], rowsOf(schema, '', marks));
  const choice = (schema.oneOf ?? []).flatMap(({ required }) => required.map((name) => `\`${name}\``));
  const note = choice.length === 0 ? '' : `\n\nExactly one of ${choice.join(' and ')} is given.`;
  return `${type.summary}\n\n${table}${note}`;
}

function rowsOf(schema: Schema, prefix: string, marks: ReadonlyMap<string, string>): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const mark = marks.get(path);
    const said = (field.description ?? '').replace(/ ?(The values m|M)ay use secrets\.$/, '');
    const meaning = [said, mark].filter((text) => text !== undefined && text !== '').join(' ');
    const row = [`\`${path}\``, typeText(field), defaultText(field, schema.required?.includes(name) === true), meaning];
    return [row, ...rowsOf(field, `${path}.`, marks)];
  });
}

function defaultText(field: Schema, required: boolean): string {
  if (required) return '**required**';
  if (field.default === undefined) return '';
  return `\`${typeof field.default === 'string' ? field.default : JSON.stringify(field.default)}\``;
}

function typeText(schema: Schema): string {
  return [...new Set(alternatives(schema))].join(' or ');
}

function alternatives(schema: Schema): string[] {
  if (schema.$ref !== undefined) return ['any JSON'];
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap(alternatives);
  if (schema.pattern !== undefined && EXPRESSION.test(schema.pattern)) return [];
  if (schema.pattern !== undefined && DURATION.test(schema.pattern)) return ['duration'];
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``);
  if (schema.items !== undefined) return [`list of ${typeText(schema.items)}`];
  if (typeof schema.additionalProperties === 'object') return [`map of ${typeText(schema.additionalProperties)}`];
  if (schema.type === undefined) return ['any JSON'];
  return [schema.type].flat().map((type) => WORDS[type] ?? type);
}
