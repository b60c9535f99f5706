/** `import text from './file.csv' with { type: 'text' }`: `apply` bundles the file's text into the module. */
declare module '*.csv' {
  const text: string;
  export default text;
}
