/** The JSON value of a text; `undefined` if the text is not JSON. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** The value of a text that is a JSON object or array; any other text unchanged, since `2026` may be a title. */
export function textOrStructure(text: string): unknown {
  const value = /^\s*[[{]/.test(text) ? readJson(text) : undefined
  return value ?? text
}
