/**
 * The part of JSON Schema draft 07 that Understudy's schema uses, checked independently of the
 * code under test. Returns what does not fit, or undefined.
 */
export function findMismatch(schema: JsonSchema, value: unknown, at = '$'): string | undefined {
  for (const [word, rule] of Object.entries(schema)) {
    const check = checks[word];
    if (check === undefined) throw new Error(`the schema uses ${word}, which is not checked here`);
    const wrong = check(rule as never, value, at, schema);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

export type JsonSchema = Readonly<Record<string, unknown>>;
type Check = (rule: never, value: unknown, at: string, schema: JsonSchema) => string | undefined;

const accept: Check = () => undefined;
const fails = (isWrong: boolean, text: string) => (isWrong ? text : undefined);
const isObject = (value: unknown): value is Record<string, unknown> => typeOf(value) === 'object';

const checks: Record<string, Check> = {
  $schema: accept,
  title: accept,
  description: accept,
  default: accept,
  // biome-ignore lint/suspicious/noThenProperty: the word of JSON Schema
  then: accept,
  if: (rule: JsonSchema, value, at, schema) =>
    findMismatch(rule, value, at) === undefined
      ? findMismatch(schema.then as JsonSchema, value, at)
      : undefined,
  type: (rule: string, value, at) => {
    const type = typeOf(value);
    const fits = rule === type || (rule === 'integer' && Number.isInteger(value));
    return fails(!fits, `${at}: ${type} is not ${rule}`);
  },
  const: (rule: unknown, value, at) => fails(rule !== value, `${at}: not ${rule}`),
  enum: (rule: unknown[], value, at) => fails(!rule.includes(value), `${at}: not one of ${rule}`),
  minimum: (rule: number, value, at) => fails((value as number) < rule, `${at}: below ${rule}`),
  maximum: (rule: number, value, at) => fails((value as number) > rule, `${at}: above ${rule}`),
  minLength: (rule: number, value, at) => fails(String(value).length < rule, `${at}: short`),
  pattern: (rule: string, value, at) =>
    fails(typeof value === 'string' && !new RegExp(rule).test(value), `${at}: not ${rule}`),
  minItems: (rule: number, value, at) => fails((value as []).length < rule, `${at}: few`),
  maxItems: (rule: number, value, at) => fails((value as []).length > rule, `${at}: many`),
  items: (rule: JsonSchema, value, at) =>
    firstOf((value as unknown[]).map((item, index) => findMismatch(rule, item, `${at}[${index}]`))),
  required: (rule: string[], value, at) =>
    firstOf(rule.map((name) => fails(isObject(value) && !(name in value), `${at}: no ${name}`))),
  properties: (rule: Record<string, JsonSchema>, value, at) =>
    !isObject(value)
      ? undefined
      : firstOf(
          Object.entries(rule).map(([name, child]) =>
            name in value ? findMismatch(child, value[name], `${at}.${name}`) : undefined,
          ),
        ),
  additionalProperties: (_rule: false, value, at, schema) => {
    const known = Object.keys(schema.properties as object);
    const extra = isObject(value) && Object.keys(value).find((name) => !known.includes(name));
    return fails(typeof extra === 'string', `${at}: ${extra} is unknown`);
  },
  anyOf: (rule: JsonSchema[], value, at) => {
    const mismatches = rule.map((one) => findMismatch(one, value, at));
    return mismatches.includes(undefined) ? undefined : mismatches[0];
  },
  allOf: (rule: JsonSchema[], value, at) =>
    firstOf(rule.map((one) => findMismatch(one, value, at))),
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

const firstOf = (mismatches: readonly (string | undefined)[]) =>
  mismatches.find((one) => one !== undefined);
