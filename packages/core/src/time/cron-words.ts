/** First and last value of each field, by the library's name for it, and by how much its own count is off. */
const FIELDS: Readonly<Record<string, { readonly name: string; readonly first: number; readonly last: number }>> = {
  second: { name: 'second', first: 0, last: 59 },
  minute: { name: 'minute', first: 0, last: 59 },
  hour: { name: 'hour', first: 0, last: 23 },
  day: { name: 'day of the month', first: 1, last: 31 },
  month: { name: 'month', first: 1, last: 12 },
};

const NAMES = ['second', 'minute', 'hour', 'day of the month', 'month', 'weekday', 'year'];

/** The library's reason in words that name the field and what may stand in it. It counts days and months from 0. */
export function cronWords(message: string, quartz: boolean): string {
  const value = /Invalid value for (\w+): (-?\d+)/.exec(message);
  const field = FIELDS[value?.[1] ?? ''];
  if (value !== null && field !== undefined)
    return `${field.name}: ${Number(value[2]) + field.first} is not from ${field.first} to ${field.last}`;
  if (value?.[1] === 'dayOfWeek') return `weekday: ${value[2]} is not from ${quartz ? '1 to 7' : '0 to 7'}`;
  const backwards = /From value is larger than to value: '(.*)'/.exec(message);
  if (backwards !== null)
    return quartz
      ? `the range ${backwards[1]} has a value that is none of its field`
      : `the range ${backwards[1]} runs backwards; ranges that go on over the end are of expressions with 6 or 7 fields`;
  const illegal = /configuration entry (\d) \((.*)\) contains illegal characters/.exec(message);
  if (illegal !== null)
    return `${NAMES[Number(illegal[1])] ?? 'field'}: ${JSON.stringify(illegal[2])} has illegal characters`;
  const step = /stepping with numeric prefix \('(.*)'\)/.exec(message);
  if (step !== null)
    return `${step[1]}: with 5 fields a step follows "*" or a range, such as "*/5" or "10-50/5"; expressions with 6 or 7 fields may say "0/5"`;
  if (/nth weekday out of range/.test(message)) return 'weekday: after "#" stands 1 to 5';
  if (/is empty/.test(message)) return 'a list has an empty place';
  if (/illegal (?:upper|lower) range/.test(message)) return 'a range lacks its first or its last value';
  if (/for year/.test(message)) return `year: ${value?.[2]} is not from 1970 to 9999`;
  return message.replace(/^CronPattern: /, '').replace('dayOfWeek', 'weekday');
}
